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

/* Terms, side by side as in `line`, times a matrix. */
INLINE void multiply(const int count, const int outputs, const term *in, int right, int row,
    int rows, int run, const float *weight, int wide, tally *out)
{
    line(count, outputs, in, right, row, rows, run, weight, wide, 0, out, wide, 0);
}

/* Results, of so many halves, fourths or thirty-sixths: the weights were divided already. */
#define HALVES(x) (x)
#define FOURTHS(x) (x)
#define THIRTY_SIXTHS(x) (x)
