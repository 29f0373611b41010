/* The update rule of 2012 in one pass over memory: v <- m v - rate g - rate decay w, w <- w + v.
 *
 * The operations, their order and their rounding are those of torch's mul_ and add_, so results
 * are the same to the bit. Float32, values [first, last).
 */
#include <math.h>
#include <stddef.h>

#if defined(__FMA__) || defined(__aarch64__)
#define MULTIPLY_ADD(a, b, c) fmaf(a, b, c) /* one rounding */
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

void sgd_step(float *restrict w, const float *restrict g, float *restrict v, ptrdiff_t first,
              ptrdiff_t last, float momentum, float minus_rate, float minus_decay) {
    for (ptrdiff_t i = first; i < last; i++) {
        float velocity = MULTIPLY_ADD(minus_rate, g[i], v[i] * momentum);
        if (minus_decay != 0.0f) velocity = MULTIPLY_ADD(minus_decay, w[i], velocity);
        v[i] = velocity;
        w[i] += velocity;
    }
}
