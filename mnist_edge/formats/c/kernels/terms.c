/* ---- What Winograd's ways work on: pieces of the input, spread; and tallies, to be gathered -----
   All of it float32, as everything else. */
#define WINOGRAD (LANES > 1)
#define TERMS LANES
typedef float term, tally;
typedef vec terms, tallies;
INLINE terms spreadable(const float *from) { return load(from); }
INLINE void keep_terms(float *to, terms x) { store(to, x); }
INLINE tallies gatherable(const float *from) { return load(from); }
INLINE void keep_tallies(float *to, tallies x) { store(to, x); }

/* Rows of terms times a matrix. */
INLINE void multiply(const int count, const int outputs, const term *in, int depth,
    const float *weight, int wide, tally *out)
{
    line(count, outputs, in, depth, 0, 1, depth, weight, wide, 0, out, wide, 0);
}

/* Results, of so many fourths or thirty-sixths: the weights were divided already. */
#define FOURTHS(x) (x)
#define THIRTY_SIXTHS(x) (x)
