/* Threads for all kernels. A kernel takes a struct of sizes, its arrays, and which units of its
 * work to do. */
#include <stddef.h>

typedef void Kernel(const void *shape, void *const *arrays, ptrdiff_t first, ptrdiff_t last);

/* Run a kernel's units in `pieces` slices on OpenMP's threads. They are the ones that torch has
 * running: others would have to share the processors with these, which wait for work awake.
 * Returns 0 where it was built without OpenMP, and has then done nothing. */
int share_out(Kernel *kernel, const void *shape, void *const *arrays, ptrdiff_t units,
              ptrdiff_t pieces, int threads) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (ptrdiff_t piece = 0; piece < pieces; piece++)
        kernel(shape, arrays, units * piece / pieces, units * (piece + 1) / pieces);
    return 1;
#else
    return 0;
#endif
}
