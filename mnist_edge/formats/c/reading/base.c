#include <stddef.h>
#include <stdint.h>

/* Sums are rounded as they stand, on every processor. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* What can be left out, each by a -D: READ_GREY (colour and opacity), READ_ONE_LIGHT (uneven
   light), READ_ONE_LOOK (the second look at small digits of large pictures), READ_NO_LINES (lines
   of the paper), READ_NO_FAINT (strokes that fade). */
#ifdef READ_CANVAS /* a drawing: white and black, and nothing else */
#define READ_GREY
#define READ_ONE_LIGHT
#define READ_ONE_LOOK
#define READ_NO_LINES
#define READ_NO_FAINT
#endif
#ifdef READ_CAMERA /* a small grey frame */
#define READ_GREY
#define READ_ONE_LOOK
#define READ_NO_LINES
#define READ_NO_FAINT
#endif

enum { DIGIT_SIDE = 28, DIGIT_PIXELS = 784, MIN_SIDE = 5, WORK_SIDE = 400, CLOSEST = 1200 };
enum { MOST_PIXELS = 2000000, LONGEST_SIDE = 65535, INK = 127, MIN_CONTRAST = 24 };

/* What is returned in place of a number of digits. */
enum { BAD_ARGUMENT = -2, TOO_SMALL = -3, NO_MEMORY = -4, NO_PAGE = -5 };

typedef unsigned char byte;
typedef struct { int left, top, right, bottom; } box;
typedef struct { byte *at; int width, height; } grey;
typedef struct { byte *at, *end; int full; } arena;

static void *claim(arena *room, size_t bytes)
{
    byte *start = room->at;
    bytes = (bytes + 15) & ~(size_t)15;
    if (room->full || (size_t)(room->end - start) < bytes) {
        room->full = 1;
        return NULL;
    }
    room->at += bytes;
    return start;
}

static grey claim_grey(arena *room, int width, int height)
{
    const grey made = {(byte *)claim(room, (size_t)width * height), width, height};
    return made;
}

static void fill(void *to, int value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((byte *)to)[i] = (byte)value;
}

static void carry(byte *to, const byte *from, size_t bytes) /* downwards they may overlap */
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = from[i];
}

static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }
static int bounded(int x, int low, int high) { return most(low, least(x, high)); }
static double size_of(double x) { return x < 0 ? -x : x; }
static size_t pixels_of(grey g) { return (size_t)g.width * g.height; }

static int rounded(double x) /* halves to the even number */
{
    int whole = (int)x;
    double rest;
    whole -= x < whole;
    rest = x - whole;
    return rest > 0.5 || (rest == 0.5 && (whole & 1)) ? whole + 1 : whole;
}

static int rounded_up(double x) { return x > (int)x ? (int)x + 1 : (int)x; }

static int width_of(box b) { return b.right - b.left; }
static int height_of(box b) { return b.bottom - b.top; }
static int longer_side(box b) { return most(width_of(b), height_of(b)); }

static box both(box a, box b)
{
    const box around = {least(a.left, b.left), least(a.top, b.top),
                        most(a.right, b.right), most(a.bottom, b.bottom)};
    return around;
}

/* ---- Of many values, how often each one occurs ----------------------------------------------- */

static int ranked(const uint32_t *counts, uint32_t rank)
{
    uint32_t seen = 0;
    for (int v = 0; v < 256; v++)
        if ((seen += counts[v]) > rank)
            return v;
    return 255;
}

#if !defined(READ_GREY) || !defined(READ_NO_LINES)
static double percentile(const uint32_t *counts, double share) /* as NumPy has it */
{
    uint32_t all = 0, rank;
    double place;
    for (int v = 0; v < 256; v++)
        all += counts[v];
    place = share * (double)(all - 1);
    rank = (uint32_t)place;
    const int low = ranked(counts, rank), high = ranked(counts, rank + 1 < all ? rank + 1 : rank);
    return low + (place - (double)rank) * (high - low);
}
#endif

/* The value under which a share of those above `level` lie. */
static int quantile(const uint32_t *counts, int level, double share)
{
    uint32_t all = 0, seen = 0;
    for (int v = level + 1; v < 256; v++)
        all += counts[v];
    for (int v = level + 1; v < 256; v++)
        if ((double)(seen += counts[v]) >= share * (double)all)
            return v;
    return 255;
}
