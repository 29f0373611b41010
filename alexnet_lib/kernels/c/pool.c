/* Max-pooling that remembers each window's winner in one byte: row * kernel + column within it.
 *
 * The first of equal values wins, and a NaN beats all, as in torch. Going back, every value of a window
 * is asked whether it won there: in channels_last by whole rows of channels, so that the loops are
 * free of jumps; in NCHW the winner's place is looked up. Sums run over the windows in reading
 * order, so results equal torch's to the bit. Float32.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    ptrdiff_t images, channels, H, W, outH, outW, kernel, stride, padding;
    int channels_last;
} Pools;

/* The part of a window that lies in the map: offsets [low, high) from its corner `start`. */
typedef struct { ptrdiff_t start, low, high; } Span;

static Span span(ptrdiff_t place, const Pools *m, ptrdiff_t side) {
    Span s;
    s.start = place * m->stride - m->padding;
    s.low = s.start < 0 ? -s.start : 0;
    s.high = s.start + m->kernel > side ? side - s.start : m->kernel;
    return s;
}

static void challenge(const float *restrict x, float *restrict best, uint8_t *restrict winner,
                      ptrdiff_t C, uint8_t place) {
    for (ptrdiff_t c = 0; c < C; c++) {
        int wins = (x[c] > best[c]) | (x[c] != x[c]);
        best[c] = wins ? x[c] : best[c];
        winner[c] = wins ? place : winner[c];
    }
}

static void give(const float *restrict g, const uint8_t *restrict winner, float *restrict dx,
                 ptrdiff_t C, uint8_t place) {
    for (ptrdiff_t c = 0; c < C; c++) dx[c] += winner[c] == place ? g[c] : 0.0f;
}

static void forward_map(const Pools *m, const float *x, float *y, uint8_t *winner) {
    for (ptrdiff_t i = 0; i < m->outH; i++)
        for (ptrdiff_t j = 0; j < m->outW; j++) {
            Span rows = span(i, m, m->H), columns = span(j, m, m->W);
            const float *corner = x + rows.start * m->W + columns.start;
            ptrdiff_t at = i * m->outW + j, place = rows.low * m->kernel + columns.low;
            float best = corner[rows.low * m->W + columns.low];
            for (ptrdiff_t a = rows.low; a < rows.high; a++)
                for (ptrdiff_t b = columns.low; b < columns.high; b++) {
                    float value = corner[a * m->W + b];
                    int wins = (value > best) | (value != value);
                    best = wins ? value : best;
                    place = wins ? a * m->kernel + b : place;
                }
            y[at] = best;
            winner[at] = (uint8_t)place;
        }
}

static void forward_rows(const Pools *m, const float *x, float *y, uint8_t *winner) {
    ptrdiff_t C = m->channels;
    for (ptrdiff_t i = 0; i < m->outH; i++)
        for (ptrdiff_t j = 0; j < m->outW; j++) {
            Span rows = span(i, m, m->H), columns = span(j, m, m->W);
            const float *corner = x + (rows.start * m->W + columns.start) * C;
            float *best = y + (i * m->outW + j) * C;
            uint8_t *won = winner + (i * m->outW + j) * C;
            memcpy(best, corner + (rows.low * m->W + columns.low) * C, (size_t)C * sizeof(float));
            memset(won, (int)(rows.low * m->kernel + columns.low), (size_t)C);
            for (ptrdiff_t a = rows.low; a < rows.high; a++)
                for (ptrdiff_t b = columns.low; b < columns.high; b++)
                    challenge(corner + (a * m->W + b) * C, best, won, C,
                              (uint8_t)(a * m->kernel + b));
        }
}

/* Images [first, last); arrays: x, y, winners. */
void pool_forward(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Pools *m = shape;
    const float *x = arrays[0];
    float *y = arrays[1];
    uint8_t *winner = arrays[2];
    ptrdiff_t in = m->H * m->W, out = m->outH * m->outW, C = m->channels;
    for (ptrdiff_t image = first; image < last; image++)
        if (m->channels_last)
            forward_rows(m, x + image * in * C, y + image * out * C, winner + image * out * C);
        else
            for (ptrdiff_t map = image * C; map < (image + 1) * C; map++)
                forward_map(m, x + map * in, y + map * out, winner + map * out);
}

static void backward_map(const Pools *m, const float *g, const uint8_t *winner, float *dx) {
    ptrdiff_t offsets[256];
    for (ptrdiff_t place = 0; place < m->kernel * m->kernel; place++)
        offsets[place] = place / m->kernel * m->W + place % m->kernel;
    memset(dx, 0, (size_t)(m->H * m->W) * sizeof(float));
    for (ptrdiff_t i = 0; i < m->outH; i++) {
        ptrdiff_t corner = (i * m->stride - m->padding) * m->W - m->padding;
        for (ptrdiff_t j = 0; j < m->outW; j++, corner += m->stride)
            dx[corner + offsets[winner[i * m->outW + j]]] += g[i * m->outW + j];
    }
}

/* The windows [from, to] whose span holds a row or column of the map. */
static void holders(ptrdiff_t place, const Pools *m, ptrdiff_t out, ptrdiff_t *from,
                    ptrdiff_t *to) {
    ptrdiff_t at = place + m->padding, low = at - m->kernel + m->stride;
    *from = low < 0 ? 0 : low / m->stride; /* the least i with i * stride + kernel > at */
    *to = at / m->stride < out ? at / m->stride : out - 1;
}

static void backward_rows(const Pools *m, const float *g, const uint8_t *winner, float *dx) {
    ptrdiff_t C = m->channels, top, bottom, left, right;
    for (ptrdiff_t row = 0; row < m->H; row++) {
        holders(row, m, m->outH, &top, &bottom);
        for (ptrdiff_t column = 0; column < m->W; column++) {
            float *slope = dx + (row * m->W + column) * C;
            holders(column, m, m->outW, &left, &right);
            memset(slope, 0, (size_t)C * sizeof(float));
            for (ptrdiff_t i = top; i <= bottom; i++)
                for (ptrdiff_t j = left; j <= right; j++) {
                    ptrdiff_t a = row + m->padding - i * m->stride;
                    ptrdiff_t b = column + m->padding - j * m->stride, at = (i * m->outW + j) * C;
                    give(g + at, winner + at, slope, C, (uint8_t)(a * m->kernel + b));
                }
        }
    }
}

/* Images [first, last); arrays: g, winners, dx. */
void pool_backward(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Pools *m = shape;
    const float *g = arrays[0];
    const uint8_t *winner = arrays[1];
    float *dx = arrays[2];
    ptrdiff_t in = m->H * m->W, out = m->outH * m->outW, C = m->channels;
    for (ptrdiff_t image = first; image < last; image++)
        if (m->channels_last)
            backward_rows(m, g + image * out * C, winner + image * out * C, dx + image * in * C);
        else
            for (ptrdiff_t map = image * C; map < (image + 1) * C; map++)
                backward_map(m, g + map * out, winner + map * out, dx + map * in);
}
