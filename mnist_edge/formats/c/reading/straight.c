#ifndef READ_NO_LINES
/* ---- Straight lines (straight.py) ------------------------------------------------------------ */

enum { MOST_LINES = 60, ALL_LINES = 255, CORNER = 3, SLENDER = 10 };

/* Bits of `flags`: ink, that of lines, and the bands of those that run either way. */
enum { MASK = 1, FOUND = 2, ACROSS = 4, UPRIGHT = 8, NEAR_LINE = 16 };

/* A line in its own direction, in pixels of its part. The band goes from `first` to `last`, the
   pixels from `start` to `end`: what bends away is of no band. */
typedef struct {
    box part; /* turned, if it is upright */
    int number, upright, start, end, top, bottom, first, last;
    double slope, level, thickness; /* how high it is in the middle of the part */
} straight;

/* What lines are looked for in. `owners` tell for each pixel which line it is of, from 1. */
typedef struct {
    byte *flags, *owners[2];
    plane groups;
    straight *lines;
    int count;
} page_lines;

/* A part as it lies, or turned: `across` and `down` are the steps from pixel to pixel. */
typedef struct {
    const byte *flags;
    const uint16_t *groups;
    byte *owners;
    ptrdiff_t across, down;
    int number, width, height;
} sheet;

typedef struct { uint16_t column, start, length; } run;

static sheet sheet_of(const page_lines *page, box part, int number, int upright)
{
    const ptrdiff_t width = page->groups.width;
    const ptrdiff_t at = upright ? part.left * width + part.top : part.top * width + part.left;
    const sheet made = {page->flags + at, page->groups.at + at, page->owners[upright] + at,
                        upright ? width : 1, upright ? 1 : width,
                        number, width_of(part), height_of(part)};
    return made;
}

static int is_ink(const sheet *s, int x, int y)
{
    const ptrdiff_t at = x * s->across + y * s->down;
    return s->flags[at] & MASK && s->groups[at] == s->number;
}

static box turned(box b)
{
    const box other = {b.top, b.left, b.bottom, b.right};
    return other;
}

static int find_runs(const sheet *s, int thickest, run *runs)
{
    int count = 0;
    for (int x = 0; x < s->width; x++)
        for (int y = 0; y < s->height; y++) {
            const int start = y;
            while (y < s->height && is_ink(s, x, y))
                y++;
            if (y > start && y - start <= thickest) {
                const run found = {(uint16_t)x, (uint16_t)start, (uint16_t)(y - start)};
                runs[count++] = found;
            }
        }
    return count;
}

static double middle_of(const run *r) { return r->start + (r->length - 1) / 2.0; }

typedef struct { int count; double slope, level; } fit;

static double height_on(const run *r, int width, double slope)
{
    return middle_of(r) - slope * (r->column - width / 2.0);
}

/* The fullest line of that slope, and its height in the middle. */
static fit best_level(const run *runs, int count, int width, double slope, uint32_t *counts)
{
    double low = height_on(runs, width, slope), high = low;
    fit best = {0, slope, 0};
    int bins;
    for (int i = 1; i < count; i++) {
        const double level = height_on(runs + i, width, slope);
        low = level < low ? level : low;
        high = level > high ? level : high;
    }
    bins = (int)(high - low) + 1;
    fill(counts, 0, sizeof *counts * bins);
    for (int i = 0; i < count; i++)
        counts[(int)(height_on(runs + i, width, slope) - low)]++;
    if (bins == 1) {
        best.count = (int)counts[0];
        best.level = low + 0.5;
    }
    for (int b = 0; b + 1 < bins; b++)
        if ((int)(counts[b] + counts[b + 1]) > best.count) {
            best.count = (int)(counts[b] + counts[b + 1]);
            best.level = low + b + 1;
        }
    return best;
}

/* The line of least squares through the runs near a first one, summed in whole numbers. */
static void fit_again(const run *runs, int count, int width, fit *f)
{
    int64_t near = 0, sum_x = 0, sum_y = 0, squares = 0, products = 0, power;
    for (int i = 0; i < count; i++)
        if (size_of(height_on(runs + i, width, f->slope) - f->level) <= 1.5) {
            const int64_t x = 2 * runs[i].column - width; /* twice each */
            const int64_t y = 2 * runs[i].start + runs[i].length - 1;
            near++;
            sum_x += x;
            sum_y += y;
            squares += x * x;
            products += x * y;
        }
    power = near * squares - sum_x * sum_x;
    f->slope = power ? (double)(near * products - sum_x * sum_y) / (double)power : 0;
    f->level = ((double)sum_y - f->slope * (double)sum_x) / (2 * (double)near);
}

static double median_length(
    const run *runs, int count, int width, const fit *f, int thickest, uint32_t *counts)
{
    uint32_t near = 0, seen = 0;
    int low = 0, high;
    fill(counts, 0, sizeof *counts * (thickest + 1));
    for (int i = 0; i < count; i++)
        if (size_of(height_on(runs + i, width, f->slope) - f->level) <= 1.5) {
            counts[runs[i].length]++;
            near++;
        }
    while (low < thickest && (seen += counts[low]) <= (near - 1) / 2)
        low++;
    high = low;
    while (high < thickest && seen <= near / 2)
        seen += counts[++high];
    return (low + high) / 2.0;
}

static double level_on(const straight *l, int x)
{
    return l->slope * (x - width_of(l->part) / 2.0) + l->level;
}

static int row_of(const straight *l, int x) { return rounded(level_on(l, x)); }

/* The longest stretch that is ink all along, of a line with some runs of its own; 0 if it is mostly
   strokes. `own` and `ink` are of all columns. */
static int cut_to_ink(const sheet *s, const run *mine, int count, int gap, byte *own, straight *l)
{
    byte *ink = own + s->width;
    int best = 0, first = 0, last = 0, size = 0, begin = 0, before = -1, ours = 0, dark = 0;
    if (!count)
        return 0;
    fill(own, 0, (size_t)s->width);
    for (int i = 0; i < count; i++)
        own[mine[i].column] = 1;
    for (int x = 0; x < s->width; x++) {
        const int row = row_of(l, x);
        ink[x] = own[x];
        for (int step = -1; step <= 1; step++)
            ink[x] |= (byte)is_ink(s, x, bounded(row + step, 0, s->height - 1));
        if (!ink[x])
            continue;
        if (before < 0 || x - before > gap) {
            begin = x;
            size = 0;
        }
        before = x;
        if (++size > best) {
            best = size;
            first = begin;
            last = x;
        }
    }
    while (first <= last && !own[first])
        first++;
    while (last >= first && !own[last])
        last--;
    if (first > last)
        return 0;
    for (int x = first; x <= last; x++) {
        ours += own[x];
        dark += ink[x];
    }
    l->start = l->first = first;
    l->end = l->last = last + 1;
    return ours >= 0.5 * (l->end - l->start) && (double)dark / (l->end - l->start) >= 0.9;
}

/* Notes whose pixels the runs are. */
static void take_runs(sheet *s, const run *mine, int count, int name, straight *l)
{
    l->top = s->height;
    l->bottom = 0;
    for (int i = 0; i < count; i++)
        if (mine[i].column >= l->start && mine[i].column < l->end) {
            l->top = least(l->top, mine[i].start);
            l->bottom = most(l->bottom, mine[i].start + mine[i].length);
            for (int k = 0; k < mine[i].length; k++)
                s->owners[mine[i].column * s->across + (mine[i].start + k) * s->down] = (byte)name;
        }
}

static void give_back(sheet *s, int name, const straight *l)
{
    for (int x = l->start; x < l->end; x++)
        for (int y = l->top; y < l->bottom; y++)
            if (s->owners[x * s->across + y * s->down] == name)
                s->owners[x * s->across + y * s->down] = 0;
}

/* The one run in a column that goes on between `low` and `high`, which are set to it; else 0. */
static int goes_on(const sheet *s, const straight *l, int x, int *low, int *high)
{
    const double level = level_on(l, x);
    int count = 0, top = 0, bottom = 0;
    if (x < 0 || x >= s->width)
        return 0;
    for (int y = *low; y < *high; y++) {
        int start = y;
        if (!is_ink(s, x, y))
            continue;
        while (start > 0 && is_ink(s, x, start - 1))
            start--;
        while (y < s->height && is_ink(s, x, y))
            y++;
        if (y - start <= 1.6 * l->thickness + 1
            && size_of((start + y - 1) / 2.0 - level) <= l->thickness + 2) {
            count++;
            top = start;
            bottom = y;
        }
    }
    *low = top;
    *high = bottom;
    return count == 1;
}

/* From one end of the band of a line what only bends away, up to `stop`, which is found where it
   is not known. Where `flags` are given, the pixels get `bits` there. */
static int follow(const sheet *s, int name, straight *l, int step, int stop, byte *flags, int bits)
{
    int x = step < 0 ? l->first : l->last - 1, low = s->height, high = 0;
    for (int y = l->top; y < l->bottom; y++)
        if (s->owners[x * s->across + y * s->down] == name) {
            low = least(low, y);
            high = y + 1;
        }
    for (x += step; x != stop && goes_on(s, l, x, &low, &high); x += step) {
        for (int y = low; flags && y < high; y++)
            flags[x * s->across + y * s->down] |= (byte)bits;
        if (!flags) {
            l->top = least(l->top, low);
            l->bottom = most(l->bottom, high);
        }
    }
    return x;
}

/* Sets bits for the pixels of a line, and those alone that bend away where `bends` is set. */
static void draw_line(page_lines *page, int index, int bits, int bends)
{
    straight *l = page->lines + index;
    const sheet s = sheet_of(page, l->part, l->number, l->upright);
    byte *flags = page->flags + (s.flags - page->flags);
    for (int x = l->first; x < l->last && !bends; x++)
        for (int y = l->top; y < l->bottom; y++)
            if (s.owners[x * s.across + y * s.down] == index + 1)
                flags[x * s.across + y * s.down] |= (byte)bits;
    if (l->start < l->first)
        follow(&s, index + 1, l, -1, l->start - 1, flags, bits);
    if (l->end > l->last)
        follow(&s, index + 1, l, 1, l->end, flags, bits);
}

/* Sets bits for all pixels from end to end of its band, those included that strokes share. */
static void draw_band(page_lines *page, int index, int bits)
{
    const straight *l = page->lines + index;
    const sheet s = sheet_of(page, l->part, l->number, l->upright);
    byte *flags = page->flags + (s.flags - page->flags);
    const int half = (int)(l->thickness / 2) + 1;
    for (int x = l->first; x < l->last; x++)
        for (int y = -half; y <= half; y++)
            flags[x * s.across + bounded(row_of(l, x) + y, 0, s.height - 1) * s.down] |= (byte)bits;
}

/* Moves what lies on a line to the end of the list, and of that its own runs to the front; `count`
   is left with the others. How many runs are its own. */
static int part_runs(run *runs, int *count, int width, const straight *l)
{
    const int all = *count;
    int own;
    for (int i = 0; i < *count;) {
        const run r = runs[i];
        if (size_of(height_on(&r, width, l->slope) - l->level) > 1 + l->thickness / 2)
            i++;
        else {
            runs[i] = runs[--*count];
            runs[*count] = r;
        }
    }
    own = *count;
    for (int i = *count; i < all; i++) {
        const run r = runs[i];
        if (r.length <= 1.45 * l->thickness + 1.1) {
            runs[i] = runs[own];
            runs[own++] = r;
        }
    }
    return own - *count;
}

/* What the search for lines needs besides the page. */
typedef struct { run *runs; uint32_t *counts; byte *own; int thickest, gap; } search;

/* Adds those of small slope in a part to the lines of the page. */
static void straight_lines(page_lines *page, const straight *like, const search *with)
{
    sheet s = sheet_of(page, like->part, like->number, like->upright);
    const double step = 2.0 / most(s.width, 20), delta = (-0.12 + step) - -0.12;
    const double shortest = 0.25 * s.width > 2 * CORNER ? 0.25 * s.width : 2 * CORNER;
    run *runs = with->runs;
    int thin = find_runs(&s, with->thickest, runs), low = 0, high = rounded_up(0.24 / step);
    for (int turn = 0; turn < MOST_LINES && page->count < ALL_LINES; turn++) {
        const int name = page->count + 1;
        straight *l = page->lines + page->count;
        fit best = {-1, 0, 0};
        int mine;
        if (thin < 0.5 * shortest)
            return;
        for (int i = low; i < high; i++) {
            const fit one = best_level(runs, thin, s.width, -0.12 + i * delta, with->counts);
            best = one.count >= best.count ? one : best;
        }
        if (best.count < 0.5 * shortest)
            return;
        *l = *like;
        l->thickness = median_length(runs, thin, s.width, &best, with->thickest, with->counts);
        fit_again(runs, thin, s.width, &best);
        l->slope = best.slope;
        l->level = best.level;
        mine = part_runs(runs, &thin, s.width, l);
        if (!cut_to_ink(&s, runs + thin, mine, with->gap, with->own, l))
            continue;
        take_runs(&s, runs + thin, mine, name, l);
        if (l->end - l->start >= SLENDER * l->thickness) {
            l->start = follow(&s, name, l, -1, -2, NULL, 0) + 1;
            l->end = follow(&s, name, l, 1, s.width + 1, NULL, 0);
        }
        if (l->end - l->start < shortest || l->end - l->start < 3 * l->thickness) {
            give_back(&s, name, l);
            continue;
        }
        page->count++;
        if (2 * (l->end - l->start) > s.width) { /* the others of a page lie as it does */
            int from = low, to;
            while (from < high && size_of(-0.12 + from * delta - l->slope) >= 0.02)
                from++;
            to = from;
            while (to < high && size_of(-0.12 + to * delta - l->slope) < 0.02)
                to++;
            if (to > from) {
                low = from;
                high = to;
            }
        }
    }
}
#endif
