#include <stddef.h>
#include <stdint.h>
#ifdef __GNUC__ /* Built in: -ffreestanding makes a call of each copy else, however small. */
#define COPY __builtin_memcpy
#define FILL __builtin_memset
#else
#include <string.h>
#define COPY memcpy
#define FILL memset
#endif

/* ---- Vectors ------------------------------------------------------------------------------
   As wide as the target's registers; the compiler says which it has. Wider ones would be kept in
   memory, and be ten times slower. Without vectors, or with MNIST_EDGE_SCALAR, one number.
   HALF_EMPTY says that the channels would leave half of 16 lanes empty. */

#define HALF_EMPTY @half_empty@

#if defined(MNIST_EDGE_SCALAR) || !defined(__GNUC__)
#define LANES 1
#define REGISTERS 16
#elif defined(__AVX512F__) && !HALF_EMPTY
#define LANES 16
#define REGISTERS 32
#elif defined(__AVX__)
#define LANES 8
#define REGISTERS 16
#elif defined(__aarch64__)
#define LANES 4
#define REGISTERS 32
#elif defined(__SSE__) || defined(__ARM_NEON) || defined(__wasm_simd128__)
#define LANES 4
#define REGISTERS 16
#else
#define LANES 1
#define REGISTERS 16
#endif
