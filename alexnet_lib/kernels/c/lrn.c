/* Local response normalization over channels, forward and backward, in float32.
 *
 *   s_i = k + c * sum over j in [i - behind, i + ahead] of x_j^2      (clipped to its group)
 *   y_i = x_i * s_i^-beta                                              (0 where s_i is 0)
 *   dx_i = g_i * s_i^-beta - 2 * beta * c * x_i * sum over the j whose window holds i
 *                                                  of g_j * x_j * s_j^(-beta - 1)
 *
 * With relu x stands for max(x, 0), and dx_i is 0 where x_i is not above it.
 *
 * The work is cut into units that fit the cache. A unit's values are copied into a buffer where
 * every group of G channels has zeros before and after it, so that no window needs clipping:
 *
 *   channels_last   unit: some rows of G channels       a channel's neighbour is 1 float away
 *   NCHW            unit: n positions of one group      a channel's neighbour is n floats away
 *
 * From there on both are the same loops over one flat buffer. Values may be bfloat16 in memory.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ptrdiff_t images, channels, positions, group; /* group: channels in a group */
    ptrdiff_t behind, ahead, n; /* n: rows (channels_last) or positions (NCHW) in a unit */
    int channels_last, half, relu; /* half: values are bfloat16 in memory */
    float c, beta, k;
} Maps;

#define INLINE static inline __attribute__((always_inline))

INLINE float widen(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

INLINE uint16_t narrow(float value) { /* to the nearest bfloat16, ties to even */
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (uint16_t)(value != value ? 0x7fc0 : rounded);
}

INLINE void copy_in(const void *from, ptrdiff_t at, float *restrict to, ptrdiff_t n, int half) {
    if (half) {
        const uint16_t *source = (const uint16_t *)from + at;
        for (ptrdiff_t p = 0; p < n; p++) to[p] = widen(source[p]);
    } else {
        memcpy(to, (const float *)from + at, (size_t)n * sizeof(float));
    }
}

/* One unit: where its lines of values lie in memory and in the buffer. */
typedef struct {
    ptrdiff_t start, step, lines, length;       /* in memory; a line is contiguous */
    ptrdiff_t pad, gap, apart, flat;            /* in the buffer; apart: from channel to channel */
} Unit;

ptrdiff_t lrn_units(const Maps *m) {
    ptrdiff_t groups = m->channels / m->group, rows = m->images * m->positions * groups;
    if (m->channels_last) return (rows + m->n - 1) / m->n;
    return m->images * groups * ((m->positions + m->n - 1) / m->n);
}

static ptrdiff_t reach(const Maps *m) { return m->behind > m->ahead ? m->behind : m->ahead; }

static Unit unit_of(const Maps *m, ptrdiff_t number) {
    ptrdiff_t G = m->group, P = m->positions, groups = m->channels / G, n = m->n;
    Unit u;
    if (m->channels_last) {
        ptrdiff_t rows = m->images * P * groups, left = rows - number * n;
        u.start = number * n * G, u.step = u.length = G, u.lines = left < n ? left : n;
        u.apart = 1, u.gap = G + reach(m), u.pad = reach(m), u.flat = u.lines * u.gap;
    } else {
        ptrdiff_t blocks = (P + n - 1) / n, first = number % blocks * n;
        u.start = number / blocks * G * P + first, u.step = P, u.lines = G;
        u.length = P - first < n ? P - first : n;
        u.apart = u.gap = u.length, u.pad = reach(m) * u.length, u.flat = G * u.length;
    }
    return u;
}

/* Floats of one buffer: the unit with zeros on all sides. */
static ptrdiff_t buffer_size(const Maps *m) {
    ptrdiff_t r = reach(m);
    return m->channels_last ? m->n * (m->group + r) + 2 * r : (m->group + 2 * r) * m->n;
}

static float *room(ptrdiff_t floats) {
    float *memory = malloc((size_t)floats * sizeof(float));
    if (!memory) abort(); /* less than a megabyte */
    return memory;
}

static void clear_gaps(const Unit *u, float *buffer) {
    ptrdiff_t after = u->apart == 1 ? u->gap - u->length : u->pad;
    memset(buffer, 0, (size_t)u->pad * sizeof(float));
    if (u->apart == 1)
        for (ptrdiff_t row = 0; row < u->lines; row++)
            for (ptrdiff_t p = 0; p < after; p++) buffer[u->pad + row * u->gap + u->length + p] = 0;
    else
        memset(buffer + u->pad + u->flat, 0, (size_t)after * sizeof(float));
}

static void load(const Unit *u, const void *from, float *buffer, int half) {
    for (ptrdiff_t line = 0; line < u->lines; line++)
        copy_in(from, u->start + line * u->step, buffer + u->pad + line * u->gap, u->length, half);
}

static void rectify(const Unit *u, float *buffer) { /* NaN stays, as in torch */
    ptrdiff_t last = u->pad + u->lines * u->gap;
    for (ptrdiff_t p = u->pad; p < last; p++) buffer[p] = buffer[p] < 0.0f ? 0.0f : buffer[p];
}

static void mask(const float *restrict x, float *restrict slope, ptrdiff_t flat) {
    for (ptrdiff_t p = 0; p < flat; p++) slope[p] = x[p] <= 0.0f ? 0.0f : slope[p];
}

/* s^-beta and 1 / s, both 0 where s is 0 */
INLINE float inverse_power(float s, float beta, float *inverse) {
    float power;
    if (beta == 0.75f) {
        float r = 1.0f / sqrtf(s); /* roots and divisions take longer than all the rest */
        power = r * sqrtf(r), *inverse = r * r;
    } else {
        power = powf(s, -beta), *inverse = 1.0f / s;
    }
    if (s == 0.0f) *inverse = 0.0f;
    return s == 0.0f ? 0.0f : power;
}

INLINE float window_sum(const float *x, ptrdiff_t apart, ptrdiff_t behind, ptrdiff_t ahead) {
    float sum = 0.0f; /* of squares */
    for (ptrdiff_t j = -behind; j <= ahead; j++) sum += x[j * apart] * x[j * apart];
    return sum;
}

INLINE void forward_loop(const float *restrict x, float *restrict y, ptrdiff_t flat,
                         ptrdiff_t apart, ptrdiff_t behind, ptrdiff_t ahead, float c, float beta,
                         float k) {
    float inverse;
    for (ptrdiff_t p = 0; p < flat; p++)
        y[p] = x[p] * inverse_power(k + c * window_sum(x + p, apart, behind, ahead), beta, &inverse);
}

INLINE void terms_loop(const float *restrict x, const float *restrict g, float *restrict powers,
                       float *restrict terms, ptrdiff_t flat, ptrdiff_t apart, ptrdiff_t behind,
                       ptrdiff_t ahead, float c, float beta, float k) {
    for (ptrdiff_t p = 0; p < flat; p++) {
        float s = k + c * window_sum(x + p, apart, behind, ahead);
        float inverse, power = inverse_power(s, beta, &inverse);
        powers[p] = power;
        terms[p] = g[p] * x[p] * power * inverse;
    }
}

INLINE void slope_loop(const float *restrict x, const float *restrict g,
                       const float *restrict terms, float *restrict powers, ptrdiff_t flat,
                       ptrdiff_t apart, ptrdiff_t behind, ptrdiff_t ahead, float factor) {
    for (ptrdiff_t p = 0; p < flat; p++) { /* p lies in the windows of p - ahead .. p + behind */
        float total = 0.0f;
        for (ptrdiff_t j = -ahead; j <= behind; j++) total += terms[p + j * apart];
        powers[p] = g[p] * powers[p] - factor * x[p] * total;
    }
}

/* The windows of five that AlexNet has get loops of their own, which compilers unroll. */
static void forward_unit(const Maps *m, const Unit *u, const float *x, float *y) {
    if (m->behind == 2 && m->ahead == 2 && m->beta == 0.75f)
        forward_loop(x, y, u->flat, u->apart, 2, 2, m->c, 0.75f, m->k);
    else
        forward_loop(x, y, u->flat, u->apart, m->behind, m->ahead, m->c, m->beta, m->k);
}

static void backward_unit(const Maps *m, const Unit *u, const float *x, const float *g,
                          float *powers, float *terms) {
    float factor = 2.0f * m->beta * m->c;
    if (m->behind == 2 && m->ahead == 2 && m->beta == 0.75f) {
        terms_loop(x, g, powers, terms + u->pad, u->flat, u->apart, 2, 2, m->c, 0.75f, m->k);
        clear_gaps(u, terms);
        slope_loop(x, g, terms + u->pad, powers, u->flat, u->apart, 2, 2, factor);
    } else {
        terms_loop(x, g, powers, terms + u->pad, u->flat, u->apart, m->behind, m->ahead, m->c,
                   m->beta, m->k);
        clear_gaps(u, terms);
        slope_loop(x, g, terms + u->pad, powers, u->flat, u->apart, m->behind, m->ahead, factor);
    }
}

static void store(const Unit *u, const float *from, void *to, int half) {
    for (ptrdiff_t line = 0; line < u->lines; line++) {
        const float *source = from + line * u->gap;
        ptrdiff_t at = u->start + line * u->step;
        if (half)
            for (ptrdiff_t p = 0; p < u->length; p++) ((uint16_t *)to)[at + p] = narrow(source[p]);
        else
            memcpy((float *)to + at, source, (size_t)u->length * sizeof(float));
    }
}

/* Units [first, last); arrays: x, y. */
void lrn_forward(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Maps *m = shape;
    ptrdiff_t size = buffer_size(m);
    float *scratch = room(2 * size), *padded = scratch, *result = scratch + size;
    for (ptrdiff_t number = first; number < last; number++) {
        Unit u = unit_of(m, number);
        clear_gaps(&u, padded);
        load(&u, arrays[0], padded, m->half);
        if (m->relu) rectify(&u, padded);
        forward_unit(m, &u, padded + u.pad, result);
        store(&u, result, arrays[1], m->half);
    }
    free(scratch);
}

/* Units [first, last); arrays: x, g, dx. */
void lrn_backward(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Maps *m = shape;
    ptrdiff_t size = buffer_size(m);
    float *scratch = room(4 * size);
    float *xs = scratch, *gs = xs + size, *powers = gs + size, *terms = powers + size;
    for (ptrdiff_t number = first; number < last; number++) {
        Unit u = unit_of(m, number);
        clear_gaps(&u, xs);
        clear_gaps(&u, gs);
        load(&u, arrays[0], xs, m->half);
        if (m->relu) rectify(&u, xs);
        load(&u, arrays[1], gs, m->half);
        backward_unit(m, &u, xs + u.pad, gs + u.pad, powers, terms);
        if (m->relu) mask(xs + u.pad, powers, u.flat);
        store(&u, powers, arrays[2], m->half);
    }
    free(scratch);
}
