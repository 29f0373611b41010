/* The update rule of 2012 in one pass over memory: v <- m v - rate g - rate decay w, w <- w + v.
 *
 * The operations, their order and their rounding are those of torch's mul_ and add_, so results
 * are the same to the bit. Float32.
 */
#include <math.h>
#include <stddef.h>

#if defined(__FMA__) || defined(__aarch64__)
#define MULTIPLY_ADD(a, b, c) fmaf(a, b, c) /* one rounding */
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

typedef struct {
    float momentum, minus_lr, minus_decay; /* minus_decay: -lr * decay */
} Step;

/* Values [first, last); arrays: w, g, v. */
void sgd_step(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Step *m = shape;
    float *restrict w = arrays[0], *restrict v = arrays[2];
    const float *restrict g = arrays[1];
    for (ptrdiff_t i = first; i < last; i++) {
        float velocity = MULTIPLY_ADD(m->minus_lr, g[i], v[i] * m->momentum);
        if (m->minus_decay != 0.0f) velocity = MULTIPLY_ADD(m->minus_decay, w[i], velocity);
        v[i] = velocity;
        w[i] += velocity;
    }
}
