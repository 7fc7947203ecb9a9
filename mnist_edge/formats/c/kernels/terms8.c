/* ---- What Winograd's ways work on: pieces of the input, spread; and tallies, to be gathered -----
   In whole numbers, hence exactly: weights are spread to 4 or 36 times what they stand for, in 16
   bits as the inputs are. Tallies may pass 32 bits on their way, as unsigned numbers may; results
   do not. For wide vectors alone, and where no instruction sums up four products of bytes. */
#if (LANES == 8 && !defined(__AVXVNNI__)) || (LANES == 16 && !defined(__AVX512VNNI__))
#define WINOGRAD 1
#else
#define WINOGRAD 0
#endif
#if WINOGRAD
#define TERMS @terms@ /* channels of a vector; the fewest of what is convolved so, or 16 */
typedef int16_t term;
typedef uint32_t tally;
typedef int16_t terms __attribute__((vector_size(TERMS * 2)));
typedef int16_t loose_terms __attribute__((vector_size(TERMS * 2), aligned(1), may_alias));
typedef uint32_t tallies __attribute__((vector_size(LANES * 4)));
typedef uint32_t loose_tallies __attribute__((vector_size(LANES * 4), aligned(1), may_alias));
INLINE terms spreadable(const uint8_t *from)
{
#if TERMS == 16
    return (terms)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)from));
#else
    return (terms)_mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)from));
#endif
}
INLINE void keep_terms(int16_t *to, terms x) { *(loose_terms *)to = x; }
INLINE tallies gatherable(const uint32_t *from) { return *(const loose_tallies *)from; }
INLINE void keep_tallies(uint32_t *to, tallies x) { *(loose_tallies *)to = x; }

/* Some terms, at most 9 side by side as in `tile`, times the weights of one or two vectors of
   outputs: two neighbouring terms at once. */
INLINE void multiply_some(const int pixels, const int vectors, const int16_t *in, int right,
    int row, int rows, int run, const int16_t *weight, int wide, uint32_t *out)
{
#define NONE(p) \
    const int16_t *t##p = in + fewer(p, pixels - 1) * right; \
    tallies m##p##0 = {0}, m##p##1 = {0};
    EACH_PIXEL(NONE)
    for (int y = 0; y < rows; y++)
        for (int j = y * row; j < y * row + run; j += 2, weight += 2 * wide) {
            vec w0 = load((const int32_t *)weight);
            vec w1 = vectors > 1 ? load((const int32_t *)weight + LANES) : w0;
            KEEP(w0);
            if (vectors > 1) KEEP(w1);
#define TIMES(p) \
            if (p < pixels) { \
                int32_t two; \
                COPY(&two, t##p + j, sizeof two); \
                const halves x = (halves)((vec){0} + two); \
                m##p##0 += (tallies)pairs(x, (halves)w0); \
                KEEP(m##p##0); \
                if (vectors > 1) m##p##1 += (tallies)pairs(x, (halves)w1); \
                if (vectors > 1) KEEP(m##p##1); \
            }
            EACH_PIXEL(TIMES)
        }
#define KEPT(p) \
    if (p < pixels) { \
        keep_tallies(out + p * wide, m##p##0); \
        if (vectors > 1) keep_tallies(out + p * wide + LANES, m##p##1); \
    }
    EACH_PIXEL(KEPT)
}

/* Terms side by side times a matrix. */
INLINE void multiply(const int count, const int outputs, const int16_t *in, int right, int row,
    int rows, int run, const int16_t *weight, int wide, uint32_t *out)
{
    const int most = LANES == 16 ? 9 : 6, parts = (count + most - 1) / most;
    const int each = (count + parts - 1) / parts, last = each * (parts - 1);
    for (int v = 0; v < VECTORS(outputs); v += 2) {
        const int vectors = fewer(2, VECTORS(outputs) - v);
        for (int t = 0; t < last; t += each)
            multiply_some(each, vectors, in + t * right, right, row, rows, run,
                          weight + 2 * v * LANES, wide, out + t * wide + v * LANES);
        multiply_some(count - last, vectors, in + last * right, right, row, rows, run,
                      weight + 2 * v * LANES, wide, out + last * wide + v * LANES);
    }
}

/* What tallies stand for. Since 9 divides them, its inverse among 32 bits does, too. */
#define HALVES(x) ((vec)(x) >> 1)
#define FOURTHS(x) ((vec)(x) >> 2)
#define THIRTY_SIXTHS(x) (vec)((tallies)FOURTHS(x) * 954437177u)
#endif
