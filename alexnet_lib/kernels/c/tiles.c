/* The two steps of a Winograd convolution that touch maps; the products between them are matrix
 * products. Maps are float32 in channels_last, tiles are cut from them row by row, image by image.
 *
 *   to_tiles     tile[a, b] = sum over i, j of matrix[a, i] * matrix[b, j] * map[i, j] for the
 *                square of `side` values from (row * step - padding, column * step - padding) on;
 *                outside the map is 0
 *   from_tiles   map[i, j] = bias + sum over a, b of matrix[a, i] * matrix[b, j] * tile[a, b];
 *                what lies outside the map is dropped
 *
 * A tile's n * n values for T tiles lie as (n * n, groups, T, channels of a group), so that each of
 * the n * n * groups is one matrix, and they lie `apart` floats from each other.
 */
#include <stddef.h>
#include <string.h>

typedef struct {
    ptrdiff_t H, W, groups, channels, padding; /* channels: of one group; outputs have padding 0 */
    ptrdiff_t rows, columns, step;             /* tiles of an image, and pixels between them */
    ptrdiff_t n, side;                         /* a tile's side, and the square's in the map */
    ptrdiff_t apart, base;                     /* matrix to matrix, and the first tile's number */
} Tiles;

#define LANES 8 /* channels at once */
#define MOST 8  /* the largest n or side */
#define PAIRS 3 /* of opposite points */
#define INLINE static inline __attribute__((always_inline))

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* A matrix has a row for each point: first PAIRS pairs of opposite points, whose rows differ in the
 * sign of every second value, then the others. So a pair's sums over even and over odd places are
 * formed once. `widen` multiplies by the matrix (to x from), `narrow` by the transpose of the
 * matrix (from x to). Values lie `apart` from each other in `in`, side by side in `out`. */
INLINE void widen(const float *matrix, const Lanes *in, Lanes *out, int apart, int from, int to) {
    for (int a = 0; a < to; a++) {
        const float *row = matrix + a * from;
        Lanes even = row[0] * in[0], odd = row[1] * in[apart];
        for (int i = 2; i < from; i += 2) even += row[i] * in[i * apart];
        for (int i = 3; i < from; i += 2) odd += row[i] * in[i * apart];
        out[a] = even + odd;
        if (a < 2 * PAIRS) out[++a] = even - odd;
    }
}

INLINE void narrow(const float *matrix, const Lanes *in, Lanes *out, int apart, int from, int to) {
    Lanes sums[2][MOST]; /* what even and odd rows of the result take */
    for (int a = 0; a < from; a++) {
        sums[0][a] = sums[1][a] = in[a * apart];
        if (a >= 2 * PAIRS) continue;
        sums[0][a] += in[(a + 1) * apart];
        sums[1][a] -= in[(a + 1) * apart];
        a++;
    }
    for (int b = 0; b < to; b++) {
        out[b] = matrix[b] * sums[b % 2][0];
        for (int a = 2; a < from; a += a < 2 * PAIRS ? 2 : 1)
            out[b] += matrix[a * to + b] * sums[b % 2][a];
    }
}

/* out (to x to) = M * in (from x from) * M's transpose; M: the matrix, or its transpose where the
 * result is smaller */
INLINE void both_ways(const float *matrix, const Lanes *in, Lanes *out, int from, int to) {
    Lanes half[MOST * MOST]; /* columns done, one after the other: half[column * to + row] */
    for (int column = 0; column < from; column++)
        if (to >= from) widen(matrix, in + column, half + column * to, from, from, to);
        else narrow(matrix, in + column, half + column * to, from, from, to);
    for (int row = 0; row < to; row++)
        if (to >= from) widen(matrix, half + row, out + row * to, to, from, to);
        else narrow(matrix, half + row, out + row * to, to, from, to);
}

/* The sizes in use get loops of their own, which compilers unroll. */
static void transform(const float *matrix, const Lanes *in, Lanes *out, int from, int to) {
    if (from == 8 && to == 8) both_ways(matrix, in, out, 8, 8);
    else if (from == 4 && to == 8) both_ways(matrix, in, out, 4, 8);
    else if (from == 8 && to == 4) both_ways(matrix, in, out, 8, 4);
    else if (from == 7 && to == 7) both_ways(matrix, in, out, 7, 7);
    else if (from == 5 && to == 7) both_ways(matrix, in, out, 5, 7);
    else if (from == 7 && to == 5) both_ways(matrix, in, out, 7, 5);
}

/* Where a tile's square lies: its image, its corner, and the part [from, to) within the map. */
typedef struct { ptrdiff_t image, y, x, top, bottom, left, right; } Square;

static Square square_of(const Tiles *m, ptrdiff_t tile) {
    Square s;
    ptrdiff_t place = tile % (m->rows * m->columns);
    s.image = tile / (m->rows * m->columns);
    s.y = place / m->columns * m->step - m->padding;
    s.x = place % m->columns * m->step - m->padding;
    s.top = s.y < 0 ? -s.y : 0, s.left = s.x < 0 ? -s.x : 0;
    s.bottom = s.y + m->side > m->H ? m->H - s.y : m->side;
    s.right = s.x + m->side > m->W ? m->W - s.x : m->side;
    return s;
}

/* Tiles [first, last) from `base` on; arrays: map, tiles, matrix. */
void to_tiles(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Tiles *m = shape;
    const float *map = arrays[0], *matrix = arrays[2];
    float *tiles = arrays[1];
    ptrdiff_t C = m->groups * m->channels, apart = m->apart;
    Lanes in[MOST * MOST], out[MOST * MOST];
    for (ptrdiff_t tile = first; tile < last; tile++) {
        Square s = square_of(m, m->base + tile);
        const float *corner = map + ((s.image * m->H + s.y) * m->W + s.x) * C;
        memset(in, 0, sizeof in);
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            for (ptrdiff_t i = s.top; i < s.bottom; i++)
                for (ptrdiff_t j = s.left; j < s.right; j++)
                    in[i * m->side + j] = *(const Lanes *)(corner + (i * m->W + j) * C + c);
            transform(matrix, in, out, (int)m->side, (int)m->n);
            float *to = tiles + c / m->channels * apart + tile * m->channels + c % m->channels;
            for (ptrdiff_t place = 0; place < m->n * m->n; place++)
                *(Lanes *)(to + place * m->groups * apart) = out[place];
        }
    }
}

/* Tiles [first, last) from `base` on; arrays: map, tiles, matrix, and the bias or NULL. */
void from_tiles(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Tiles *m = shape;
    const float *tiles = arrays[1], *matrix = arrays[2], *bias = arrays[3];
    float *map = arrays[0];
    ptrdiff_t C = m->groups * m->channels, apart = m->apart;
    Lanes in[MOST * MOST], out[MOST * MOST];
    for (ptrdiff_t tile = first; tile < last; tile++) {
        Square s = square_of(m, m->base + tile);
        float *corner = map + ((s.image * m->H + s.y) * m->W + s.x) * C;
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const float *from =
                tiles + c / m->channels * apart + tile * m->channels + c % m->channels;
            for (ptrdiff_t place = 0; place < m->n * m->n; place++)
                in[place] = *(const Lanes *)(from + place * m->groups * apart),
                __builtin_prefetch(from + place * m->groups * apart + 2 * LANES);
            transform(matrix, in, out, (int)m->n, (int)m->side);
            Lanes added = {0};
            if (bias) added = *(const Lanes *)(bias + c);
            for (ptrdiff_t i = 0; i < s.bottom; i++)
                for (ptrdiff_t j = 0; j < s.right; j++)
                    *(Lanes *)(corner + (i * m->W + j) * C + c) = out[i * m->side + j] + added;
        }
    }
}
