/* The update rule of 2012 in one pass over memory: v <- m v - rate g - rate decay w, w <- w + v.
 *
 * The operations and their order are those of torch's mul_ and add_, so results are equal to the
 * bit. Float32, values [first, last).
 */
#include <stddef.h>

void sgd_step(float *restrict w, const float *restrict g, float *restrict v, ptrdiff_t first,
              ptrdiff_t last, float momentum, float minus_rate, float minus_decay) {
    for (ptrdiff_t i = first; i < last; i++) {
        float velocity = v[i] * momentum;
        velocity = velocity + minus_rate * g[i];
        if (minus_decay != 0.0f) velocity = velocity + minus_decay * w[i];
        v[i] = velocity;
        w[i] += velocity;
    }
}
