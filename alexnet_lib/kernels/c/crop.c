/* Squares cut out of pictures (H, W, C) of bytes, some of them mirrored. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    ptrdiff_t W, C, size; /* of the pictures; size: side of the squares */
} Crops;

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FIVE_AT_ONCE
typedef uint8_t Bytes __attribute__((vector_size(16)));
#endif
#endif

/* n pixels of C bytes in reverse order; five at a time where the compiler can shuffle bytes. */
static void mirror(const uint8_t *restrict from, uint8_t *restrict to, ptrdiff_t n, ptrdiff_t C) {
    ptrdiff_t p = 0;
#ifdef FIVE_AT_ONCE
    for (; C == 3 && p + 6 <= n; p += 5) { /* 15 bytes, and one before them that isn't used */
        Bytes pixels;
        memcpy(&pixels, from + 3 * (n - 5 - p) - 1, 16);
        pixels = __builtin_shufflevector(pixels, pixels, 13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1,
                                         2, 3, 0);
        memcpy(to + 3 * p, &pixels, 16); /* the sixteenth is written over by the next */
    }
#endif
    for (; p < n; p++) memcpy(to + p * C, from + (n - 1 - p) * C, (size_t)C);
}

/* Squares [first, last): number n from the picture at pictures[n], its corner at tops[n], lefts[n].
 * arrays: pictures, tops, lefts, mirrored, squares. */
void crop(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last) {
    const Crops *m = shape;
    const uint8_t *const *pictures = arrays[0];
    const uint8_t *mirrored = arrays[3];
    const int64_t *tops = arrays[1], *lefts = arrays[2];
    ptrdiff_t line = m->size * m->C;
    for (ptrdiff_t n = first; n < last; n++)
        for (ptrdiff_t row = 0; row < m->size; row++) {
            const uint8_t *from = pictures[n] + ((tops[n] + row) * m->W + lefts[n]) * m->C;
            uint8_t *to = (uint8_t *)arrays[4] + (n * m->size + row) * line;
            if (mirrored[n])
                mirror(from, to, m->size, m->C);
            else
                memcpy(to, from, (size_t)line);
        }
}
