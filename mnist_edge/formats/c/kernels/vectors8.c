/* What the kernels below work on: bytes times signed bytes, summed in 32 bits. No sum overflows:
   that was made sure of when this was written. */
typedef uint8_t number;
typedef int8_t weighting;
typedef int32_t offset;
#define TOGETHER 4 /* numbers that one step takes in */

#if LANES >= 8 || (LANES == 4 && defined(__SSE2__))
#include <immintrin.h>
#elif LANES == 4 && defined(__ARM_NEON)
#include <arm_neon.h>
#elif LANES == 4
#include <wasm_simd128.h>
#elif TWO_AT_ONCE
#include <arm_acle.h>
#endif

#if LANES > 1
typedef int32_t vec __attribute__((vector_size(LANES * 4)));
typedef int32_t loose __attribute__((vector_size(LANES * 4), aligned(1), may_alias));
typedef float reals __attribute__((vector_size(LANES * 4)));
typedef float loose_reals __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
INLINE vec load(const int32_t *from) { return *(const loose *)from; }
INLINE reals load_reals(const float *from) { return *(const loose_reals *)from; }
INLINE reals to_reals(vec x) { return __builtin_convertvector(x, reals); }
INLINE vec bits(reals x) { return (vec)x; }
#else
typedef int32_t vec;
typedef float reals;
INLINE vec load(const int32_t *from) { return *from; }
INLINE reals load_reals(const float *from) { return *from; }
INLINE reals to_reals(vec x) { return (float)x; }
INLINE vec bits(reals x)
{
    int32_t same;
    COPY(&same, &x, sizeof same);
    return same;
}
#endif

/* Write numbers from 0 to 255 as bytes. */
INLINE void store(uint8_t *to, vec x)
{
#if LANES == 16
    const __m128i narrow = _mm512_cvtepi32_epi8((__m512i)x);
    COPY(to, &narrow, LANES);
#elif LANES == 8
    const __m128i low = _mm256_castsi256_si128((__m256i)x);
    const __m128i words = _mm_packs_epi32(low, _mm256_extracti128_si256((__m256i)x, 1));
    const __m128i narrow = _mm_packus_epi16(words, words);
    COPY(to, &narrow, LANES);
#elif LANES == 4 && defined(__SSE2__)
    const __m128i words = _mm_packs_epi32((__m128i)x, (__m128i)x);
    const __m128i narrow = _mm_packus_epi16(words, words);
    COPY(to, &narrow, LANES);
#elif LANES == 4 && defined(__ARM_NEON)
    const int16x4_t words = vmovn_s32((int32x4_t)x);
    const int8x8_t narrow = vmovn_s16(vcombine_s16(words, words));
    COPY(to, &narrow, LANES);
#elif LANES == 4
    const v128_t words = wasm_i16x8_narrow_i32x4((v128_t)x, (v128_t)x);
    wasm_v128_store32_lane(to, wasm_u8x16_narrow_i16x8(words, words), 0);
#else
    *to = (uint8_t)x;
#endif
}

/* The larger of two, and the nearest to x from low to high, number by number. */
#if LANES == 16
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_epi32((__m512i)a, (__m512i)b); }
INLINE reals within(reals x, reals low, reals high)
{
    return (reals)_mm512_min_ps(_mm512_max_ps((__m512)x, (__m512)low), (__m512)high);
}
#elif LANES == 8
INLINE vec larger(vec a, vec b) { return (vec)_mm256_max_epi32((__m256i)a, (__m256i)b); }
INLINE reals within(reals x, reals low, reals high)
{
    return (reals)_mm256_min_ps(_mm256_max_ps((__m256)x, (__m256)low), (__m256)high);
}
#elif LANES == 4
INLINE vec larger(vec a, vec b)
{
    const vec first = a > b;
    return (a & first) | (b & ~first);
}
INLINE reals within(reals x, reals low, reals high)
{
    const vec under = x < low, over = x > high;
    return (reals)((bits(x) & ~(under | over)) | (bits(low) & under) | (bits(high) & over));
}
#else
INLINE vec larger(vec a, vec b) { return a > b ? a : b; }
INLINE reals within(reals x, reals low, reals high) { return x < low ? low : x > high ? high : x; }
#endif

/* One step of a sum: four neighbouring inputs times their weights for some channels. */
#if LANES > 1
typedef vec inputs, weights;
INLINE weights weigh(const int8_t *from) { return *(const loose *)from; }
INLINE inputs take(const uint8_t *from)
{
    uint32_t bytes;
    COPY(&bytes, from, sizeof bytes);
    return (vec){0} + (int32_t)(SIGNED ? bytes ^ 0x80808080u : bytes);
}
#elif TWO_AT_ONCE
typedef uint32_t inputs, weights;
INLINE uint32_t four(const void *from)
{
    uint32_t bytes;
    COPY(&bytes, from, sizeof bytes);
    return bytes;
}
INLINE weights weigh(const int8_t *from) { return four(from); }
INLINE inputs take(const uint8_t *from) { return four(from); }
#else
typedef const uint8_t *inputs;
typedef const int8_t *weights;
INLINE weights weigh(const int8_t *from) { return from; }
INLINE inputs take(const uint8_t *from) { return from; }
#endif

#if LANES == 16 && defined(__AVX512VNNI__)
INLINE vec step(vec sum, inputs x, weights w)
{
    return (vec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
}
#elif LANES == 8 && defined(__AVXVNNI__)
INLINE vec step(vec sum, inputs x, weights w)
{
    return (vec)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
}
#elif LANES == 4 && SIGNED
INLINE vec step(vec sum, inputs x, weights w)
{
    return (vec)vdotq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)w);
}
#elif LANES == 4 && defined(__ARM_FEATURE_MATMUL_INT8)
INLINE vec step(vec sum, inputs x, weights w)
{
    return (vec)vusdotq_s32((int32x4_t)sum, (uint8x16_t)x, (int8x16_t)w);
}
#elif LANES >= 8 || (LANES == 4 && (defined(__SSE2__) || defined(__wasm_simd128__)))
/* In 16 bits: products of neighbours, added in pairs. */
typedef int16_t halves __attribute__((vector_size(LANES * 4)));
typedef uint16_t wholes __attribute__((vector_size(LANES * 4)));
INLINE vec pairs(halves a, halves b)
{
#if LANES == 16
    return (vec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif LANES == 8
    return (vec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__wasm_simd128__)
    return (vec)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#else
    return (vec)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}
#if NARROW && LANES >= 8
/* The instruction for products of bytes cuts off at 16 bits, which these do not reach. */
INLINE vec step(vec sum, inputs x, weights w)
{
    const halves ones = (halves){0} + 1;
#if LANES == 16
    return sum + pairs((halves)_mm512_maddubs_epi16((__m512i)x, (__m512i)w), ones);
#else
    return sum + pairs((halves)_mm256_maddubs_epi16((__m256i)x, (__m256i)w), ones);
#endif
}
#else
INLINE vec step(vec sum, inputs x, weights w)
{
    const halves even = (halves)((wholes)w << 8) >> 8, odd = (halves)w >> 8;
    return sum + pairs((halves)x & 255, even) + pairs((halves)((wholes)x >> 8), odd);
}
#endif
#elif TWO_AT_ONCE
INLINE vec step(vec sum, inputs x, weights w)
{
    sum = __smlad((int16x2_t)__uxtb16(x), __sxtb16((int8x4_t)w), sum);
    return __smlad((int16x2_t)__uxtb16(x >> 8), __sxtb16((int8x4_t)(w >> 8)), sum);
}
#else
/* Byte by byte, as any target can. */
#if LANES > 1
#define INPUT(x, n) ((x) >> 8 * (n) & 255)
#define WEIGHT(w, n) ((w) << (24 - 8 * (n)) >> 24)
#else
#define INPUT(x, n) (x)[n]
#define WEIGHT(w, n) (w)[n]
#endif
INLINE vec step(vec sum, inputs x, weights w)
{
    sum += INPUT(x, 0) * WEIGHT(w, 0) + INPUT(x, 1) * WEIGHT(w, 1);
    return sum + INPUT(x, 2) * WEIGHT(w, 2) + INPUT(x, 3) * WEIGHT(w, 3);
}
#endif

/* The end of a sum, for these channels and for those that are some `v` on: a factor for each
   channel makes it a number in units of the result, of which `zero` stands for 0. */
typedef struct {
    const float *factor;
    int zero, relu;
} ending;
INLINE ending later(ending end, int v)
{
    end.factor += v;
    return end;
}

/* To the nearest byte, of two the even one, as ONNX Runtime rounds. Adding 1.5 * 2^23 drops the
   fraction and leaves the whole number in the low bits. It follows a comparison, so that no
   compiler makes one operation of it and of the product: that would round once instead of twice. */
INLINE void put_reals(uint8_t *to, reals x, int zero, int relu)
{
    const reals none = {0};
    x = within(x, none - (float)(relu ? 0 : zero), none + (float)(255 - zero)) + 12582912.0f;
    store(to, bits(x) - 0x4B400000 + zero);
}

INLINE void put(uint8_t *to, vec sum, ending end)
{
    put_reals(to, to_reals(sum) * load_reals(end.factor), end.zero, end.relu);
}
