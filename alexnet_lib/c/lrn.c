/* Local response normalization over channels, float32, forward and backward.
 *
 *   s_i = k + c * sum over j in [i - behind, i + ahead] of x_j^2      (clipped to its group)
 *   y_i = x_i * s_i^-beta                                              (0 where s_i is 0)
 *   dx_i = g_i * s_i^-beta - 2 * beta * c * x_i * sum over the j whose window holds i
 *                                                  of g_j * x_j * s_j^(-beta - 1)
 *
 * A tensor of N images, C channels and P positions is cut into blocks of positions that fit the
 * cache. `channels_last` says which of C and P is contiguous. Every function works on images
 * [first, last) alone, so that threads can share the work. Windows stay within groups of G channels.
 */
#include <math.h>
#include <stddef.h>

#define BLOCK 64

static inline float power(float s, float beta) { /* s^-beta */
    if (s == 0.0f) return 0.0f;
    if (beta == 0.75f) {
        float r = 1.0f / sqrtf(s);
        return r * sqrtf(r);
    }
    return powf(s, -beta);
}

/* sums[i][p] = s_i for a block of n <= BLOCK positions, x laid out as [C][stride]. */
static void window_sums(const float *x, ptrdiff_t stride, float *sums, ptrdiff_t C, int n,
                        ptrdiff_t G, ptrdiff_t behind, ptrdiff_t ahead, float c, float k) {
    for (ptrdiff_t i = 0; i < C; i++) {
        ptrdiff_t start = i / G * G, low = i - behind < start ? start : i - behind;
        ptrdiff_t high = i + ahead >= start + G ? start + G - 1 : i + ahead;
        float *s = sums + i * BLOCK;
        for (int p = 0; p < n; p++) s[p] = 0.0f;
        for (ptrdiff_t j = low; j <= high; j++) {
            const float *xj = x + j * stride;
            for (int p = 0; p < n; p++) s[p] += xj[p] * xj[p];
        }
        for (int p = 0; p < n; p++) s[p] = k + c * s[p];
    }
}

static void powers(float *s, int n, float beta) { /* s <- s^-beta, 0 where s is 0 */
    if (beta == 0.75f) {
        for (int p = 0; p < n; p++) {
            float r = 1.0f / sqrtf(s[p]);
            float v = r * sqrtf(r);
            s[p] = s[p] == 0.0f ? 0.0f : v;
        }
    } else {
        for (int p = 0; p < n; p++) s[p] = power(s[p], beta);
    }
}

static void forward_block(const float *x, ptrdiff_t xs, float *y, ptrdiff_t ys, float *sums,
                          ptrdiff_t C, int n, ptrdiff_t G, ptrdiff_t behind, ptrdiff_t ahead, float c,
                          float beta, float k) {
    window_sums(x, xs, sums, C, n, G, behind, ahead, c, k);
    for (ptrdiff_t i = 0; i < C; i++) {
        float *s = sums + i * BLOCK;
        powers(s, n, beta);
        for (int p = 0; p < n; p++) y[i * ys + p] = x[i * xs + p] * s[p];
    }
}

static void backward_block(const float *x, const float *g, ptrdiff_t stride, float *dx,
                           ptrdiff_t ds, float *sums, float *terms, ptrdiff_t C, int n,
                           ptrdiff_t G, ptrdiff_t behind, ptrdiff_t ahead, float c, float beta, float k) {
    float factor = 2.0f * beta * c;
    window_sums(x, stride, sums, C, n, G, behind, ahead, c, k);
    for (ptrdiff_t i = 0; i < C; i++) { /* terms = g x s^(-beta-1); sums <- s^-beta */
        float *s = sums + i * BLOCK, *t = terms + i * BLOCK, inverse[BLOCK];
        for (int p = 0; p < n; p++) inverse[p] = s[p] == 0.0f ? 0.0f : 1.0f / s[p];
        powers(s, n, beta);
        for (int p = 0; p < n; p++) t[p] = g[i * stride + p] * x[i * stride + p] * s[p] * inverse[p];
    }
    for (ptrdiff_t i = 0; i < C; i++) { /* i lies in the windows of i - ahead .. i + behind */
        ptrdiff_t start = i / G * G, low = i - ahead < start ? start : i - ahead;
        ptrdiff_t high = i + behind >= start + G ? start + G - 1 : i + behind;
        float *s = sums + i * BLOCK, total[BLOCK];
        for (int p = 0; p < n; p++) total[p] = 0.0f;
        for (ptrdiff_t j = low; j <= high; j++)
            for (int p = 0; p < n; p++) total[p] += terms[j * BLOCK + p];
        for (int p = 0; p < n; p++)
            dx[i * ds + p] = g[i * stride + p] * s[p] - factor * x[i * stride + p] * total[p];
    }
}

/* channels_last: turn [n][C] into [C][BLOCK] and back, so that one code serves both layouts. */
static void gather(const float *from, float *to, ptrdiff_t C, int n) {
    for (ptrdiff_t i = 0; i < C; i++)
        for (int p = 0; p < n; p++) to[i * BLOCK + p] = from[p * C + i];
}

static void scatter(const float *from, float *to, ptrdiff_t C, int n) {
    for (int p = 0; p < n; p++)
        for (ptrdiff_t i = 0; i < C; i++) to[p * C + i] = from[i * BLOCK + p];
}

/* scratch holds 2 * C * BLOCK floats for the forward pass, 4 * C * BLOCK for the backward. */
void lrn_forward(const float *x, float *y, float *scratch, ptrdiff_t first, ptrdiff_t last,
                 ptrdiff_t C, ptrdiff_t P, int channels_last, ptrdiff_t G, ptrdiff_t behind, ptrdiff_t ahead,
                 float c, float beta, float k) {
    float *sums = scratch, *xb = scratch + C * BLOCK;
    for (ptrdiff_t image = first; image < last; image++)
        for (ptrdiff_t p = 0; p < P; p += BLOCK) {
            int n = P - p < BLOCK ? (int)(P - p) : BLOCK;
            ptrdiff_t base = image * C * P + (channels_last ? p * C : p);
            if (channels_last) {
                gather(x + base, xb, C, n);
                forward_block(xb, BLOCK, xb, BLOCK, sums, C, n, G, behind, ahead, c, beta, k);
                scatter(xb, y + base, C, n);
            } else {
                forward_block(x + base, P, y + base, P, sums, C, n, G, behind, ahead, c, beta, k);
            }
        }
}

void lrn_backward(const float *x, const float *g, float *dx, float *scratch, ptrdiff_t first,
                  ptrdiff_t last, ptrdiff_t C, ptrdiff_t P, int channels_last, ptrdiff_t G,
                  ptrdiff_t behind, ptrdiff_t ahead, float c, float beta, float k) {
    float *sums = scratch, *terms = sums + C * BLOCK, *xb = terms + C * BLOCK, *gb = xb + C * BLOCK;
    for (ptrdiff_t image = first; image < last; image++)
        for (ptrdiff_t p = 0; p < P; p += BLOCK) {
            int n = P - p < BLOCK ? (int)(P - p) : BLOCK;
            ptrdiff_t base = image * C * P + (channels_last ? p * C : p);
            if (channels_last) {
                gather(x + base, xb, C, n);
                gather(g + base, gb, C, n);
                backward_block(xb, gb, BLOCK, xb, BLOCK, sums, terms, C, n, G, behind, ahead, c,
                               beta, k);
                scatter(xb, dx + base, C, n);
            } else {
                backward_block(x + base, g + base, P, dx + base, P, sums, terms, C, n, G, behind,
                               ahead, c, beta, k);
            }
        }
}
