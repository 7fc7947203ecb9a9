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
   As wide as the target's registers; the compiler says which it has. Whole numbers give the same
   sums in any order, so every width gives the same answers, to the last bit. Without vectors, or
   with MNIST_EDGE_SCALAR, one number. REGISTERS are those that are left for the kernels. HALF_EMPTY
   says that the channels would leave half of 16 lanes empty. */

#define HALF_EMPTY @half_empty@

#if defined(MNIST_EDGE_SCALAR) || !(defined(__clang__) || __GNUC__ >= 9)
#define LANES 1
#define REGISTERS 16
#elif defined(__AVX512BW__) && (defined(__AVX512VNNI__) || !HALF_EMPTY)
#define LANES 16
#define REGISTERS 32
#elif defined(__AVX2__)
#define LANES 8
#define REGISTERS 12
#elif defined(__ARM_FEATURE_MATMUL_INT8) || defined(__ARM_FEATURE_DOTPROD)
#define LANES 4
#define REGISTERS 32
#elif defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__)
#define LANES 4
#define REGISTERS 12
#else
#define LANES 1
#define REGISTERS 16
#endif

/* Arm's older instruction multiplies signed bytes alone: inputs are then taken less 128, which the
   offsets make up for. */
#if LANES > 1 && defined(__ARM_FEATURE_DOTPROD) && !defined(__ARM_FEATURE_MATMUL_INT8)
#define SIGNED 1
#else
#define SIGNED 0
#endif

/* Small Arm cores have no vectors, but take two products of 16 bits at once. */
#if LANES == 1 && defined(__ARM_FEATURE_SIMD32) && !defined(MNIST_EDGE_SCALAR)
#define TWO_AT_ONCE 1
#else
#define TWO_AT_ONCE 0
#endif

/* Whether all weights lie from -64 to 64: two of them times bytes then make 16 bits. */
#define NARROW @narrow@
