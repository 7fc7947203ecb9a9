/* ---- From pixels to one brightness each (paper.py) ------------------------------------------- */

/* A picture as it was given, and the part of it that is looked at, so many times reduced. */
typedef struct {
    const byte *pixels;
    int width, height, channels;
    box place;
    int factor;
} view;

static int reduction(int width, int height, int side)
{
    int factor = 1;
    while ((uint64_t)width * (uint64_t)height > (uint64_t)side * side * factor * factor)
        factor++;
    return bounded(factor, 1, most(1, least(width, height) / MIN_SIDE));
}

static int reduced(int length, int factor) { return (length + factor - 1) / factor; }

/* Averages blocks; colours count by their opacity. */
static void reduce_view(const view *v, byte *out)
{
    const int width = width_of(v->place), height = height_of(v->place), f = v->factor;
    const int channels = v->channels;
    for (int y = 0; y < reduced(height, f); y++)
        for (int x = 0; x < reduced(width, f); x++, out += channels) {
            const int right = least(width, (x + 1) * f), bottom = least(height, (y + 1) * f);
            const uint32_t area = (uint32_t)((right - x * f) * (bottom - y * f));
            uint32_t sums[4] = {0, 0, 0, 0};
            for (int j = y * f; j < bottom; j++)
                for (int i = x * f; i < right; i++) {
                    const byte *p = v->pixels + channels * (
                        (size_t)(v->place.top + j) * v->width + (size_t)(v->place.left + i));
                    for (int c = 0; c < channels; c++) {
                        const uint32_t part = p[c] * (uint32_t)(channels == 4 ? p[3] : 0) + 128;
                        sums[c] += channels == 4 && c < 3 && f > 1 ? ((part >> 8) + part) >> 8 : p[c];
                    }
                }
            for (int c = 0; c < channels; c++)
                out[c] = mean_of(sums[c], area);
            if (channels == 4 && f > 1 && out[3] != 0 && out[3] != 255)
                for (int c = 0; c < 3; c++)
                    out[c] = (byte)least(255, 255 * out[c] / out[3]);
        }
}

static int border_median(const byte *at, int width, int height, int step)
{
    uint32_t counts[256] = {0};
    const size_t row = (size_t)width * step, last = row * (height - 1);
    for (int x = 0; x < width; x++) {
        counts[at[(size_t)x * step]]++;
        counts[at[last + (size_t)x * step]]++;
    }
    for (int y = 1; y < height - 1; y++) {
        counts[at[y * row]]++;
        counts[at[y * row + row - step]]++;
    }
    return ranked(counts, (uint32_t)(width + height - 2));
}

#ifndef READ_GREY
static int apart(int a, int b) { return a < b ? b - a : a - b; }

static byte luma(const byte *p)
{
    return (byte)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
}

/* Lays a transparent picture on the paper that lets its ink be seen. */
static void composite(const byte *p, grey out)
{
    const size_t count = pixels_of(out);
    uint32_t some[256] = {0}, opaque[256] = {0}, opaques = 0, parts = 0;
    const uint32_t *counts = opaque;
    int lowest = 255;
    double middle;
    float paper;
    for (size_t i = 0; i < count; i++) {
        const int value = out.at[i] = luma(p + 4 * i), alpha = p[4 * i + 3];
        lowest = least(lowest, alpha);
        opaques += alpha > 127;
        opaque[value] += alpha > 127;
        parts += alpha > 0;
        some[value] += alpha > 0;
    }
    if (!parts)
        fill(out.at, 0, count);
    if (!parts || lowest == 255)
        return;
    if (!opaques) {
        counts = some;
        opaques = parts;
    }
    middle = percentile(counts, 0.5);
    paper = middle < 128 ? 255.0f : 0.0f;
    if (opaques > count / 2.0 && percentile(counts, 0.98) - percentile(counts, 0.02) > 64)
        paper = (float)middle; /* a card with its own two tones */
    for (size_t i = 0; i < count; i++) {
        const float alpha = p[4 * i + 3] / 255.0f;
        const float ink = out.at[i] * alpha, rest = paper * (1 - alpha);
        out.at[i] = (byte)(ink + rest + 0.5f);
    }
}

/* Brightness, or where that hides an ink, how far each pixel is from the paper's colour. */
static void weigh_colours(const byte *p, byte *far, grey out)
{
    const size_t count = pixels_of(out);
    size_t strong = 0, hidden = 0;
    int level, limit = 0, paper[3];
    for (int c = 0; c < 3; c++)
        paper[c] = border_median(p + c, out.width, out.height, 3);
    for (size_t i = 0; i < count; i++) {
        int value = 0;
        for (int c = 0; c < 3; c++)
            value = most(value, apart(p[3 * i + c], paper[c]));
        far[i] = (byte)value;
        limit = most(limit, value);
        out.at[i] = luma(p + 3 * i);
    }
    level = border_median(out.at, out.width, out.height, 1);
    limit = most(MIN_CONTRAST, limit / 2);
    for (size_t i = 0; i < count; i++)
        if (far[i] > limit) {
            strong++;
            hidden += (float)apart(out.at[i], level) < far[i] * 0.6f;
        }
    if ((double)hidden > 0.03 * (double)strong)
        for (size_t i = 0; i < count; i++)
            out.at[i] = (byte)(level >= 128 ? 255 - far[i] : far[i]);
}
#endif

static void grey_of(arena *room, const view *v, grey out)
{
#ifdef READ_GREY
    (void)room;
    reduce_view(v, out.at);
#else
    byte *mark = room->at, *less, *far;
    if (v->channels == 1) {
        reduce_view(v, out.at);
        return;
    }
    less = (byte *)claim(room, pixels_of(out) * v->channels);
    far = (byte *)claim(room, v->channels == 3 ? pixels_of(out) : 0);
    if (room->full)
        return;
    reduce_view(v, less);
    if (v->channels == 4)
        composite(less, out);
    else
        weigh_colours(less, far, out);
    room->at = mark;
#endif
}

/* ---- From brightness to ink ------------------------------------------------------------------ */

/* White ink on black paper: `shares` how much darker than the paper each pixel is, `values` each
   share stretched from 0 to 255; less than `faint` is no stroke, the typical one has `top`. */
typedef struct {
    grey shares;
    byte values[256];
    int faint, top;
} inked;

static int value_at(const inked *ink, size_t i) { return ink->values[ink->shares.at[i]]; }

/* Whether what stands out of its surroundings is dark: few pixels, and far from them. */
static int has_dark_strokes(arena *room, grey g)
{
    const int reach = most(2, most(g.width, g.height) / 20), side = 2 * reach + 1;
    const int rim = least(reach, least(g.width, g.height) / 4);
    const uint32_t weight = 16777216u / (uint32_t)side, half = 8388608u;
    byte *mark = room->at, *rows = (byte *)claim(room, pixels_of(g));
    double sum = 0;
    if (room->full)
        return 0;
    for (int y = 0; y < g.height; y++) {
        const byte *row = g.at + (size_t)y * g.width;
        uint32_t all = 0;
        for (int i = -reach - 1; i < reach; i++)
            all += row[bounded(i, 0, g.width - 1)];
        for (int x = 0; x < g.width; x++) {
            all += row[least(x + reach, g.width - 1)];
            all -= row[most(x - reach - 1, 0)];
            rows[(size_t)y * g.width + x] = (byte)((all * weight + half) >> 24);
        }
    }
    for (int x = rim; x < g.width - rim; x++) {
        uint32_t all = 0;
        for (int i = -reach - 1; i < reach; i++)
            all += rows[(size_t)bounded(i, 0, g.height - 1) * g.width + x];
        for (int y = 0; y < g.height; y++) {
            const size_t at = (size_t)y * g.width + x;
            double out;
            all += rows[(size_t)least(y + reach, g.height - 1) * g.width + x];
            all -= rows[(size_t)most(y - reach - 1, 0) * g.width + x];
            out = (double)g.at[at] - (double)((all * weight + half) >> 24);
            if (y >= rim && y < g.height - rim)
                sum += out * out * out;
        }
    }
    room->at = mark;
    return sum < 0;
}

/* Makes the ink the dark side. Paper is what the border shows, unless that is a frame or a table. */
static void turn_dark_on_bright(arena *room, grey g, int low, int high)
{
    const size_t count = pixels_of(g);
    const int ring = 2 * (g.width + g.height) - 4;
    size_t bright = 0, border = 0;
    int is_bright;
    for (int y = 0; y < g.height; y++)
        for (int x = 0; x < g.width; x++)
            if (2 * g.at[(size_t)y * g.width + x] > low + high) {
                bright++;
                border += !x || !y || x == g.width - 1 || y == g.height - 1;
            }
    is_bright = 2 * border >= (size_t)ring;
    if ((border > 0.4 * ring && border < 0.6 * ring) || !is_bright != (2 * bright < count))
        is_bright = has_dark_strokes(room, g);
    if (!is_bright)
        for (size_t i = 0; i < count; i++)
            g.at[i] = (byte)(255 - g.at[i]);
}

#ifndef READ_ONE_LIGHT
static int median_of(const byte *at, ptrdiff_t step, int count)
{
    uint32_t counts[256] = {0};
    for (int i = 0; i < count; i++)
        counts[at[i * step]]++;
    return ranked(counts, (uint32_t)(count / 2));
}

static int is_uneven(grey g)
{
    const byte *last = g.at + (size_t)(g.height - 1) * g.width, *right = g.at + g.width - 1;
    const byte *rows[] = {g.at, last}, *columns[] = {g.at, right};
    const int half = g.width / 2, middle = g.height / 2;
    const size_t down = (size_t)middle * g.width;
    int low = 255, high = 0;
    for (int i = 0; i < 2; i++) {
        const int levels[] = {
            median_of(rows[i], 1, half), median_of(rows[i] + half, 1, g.width - half),
            median_of(columns[i], g.width, middle),
            median_of(columns[i] + down, g.width, g.height - middle)};
        for (int k = 0; k < 4; k++) {
            low = least(low, levels[k]);
            high = most(high, levels[k]);
        }
    }
    return high - low > 12;
}
#endif

/* Divides by the paper's own brightness, so that a shadow is not taken for ink. */
static void flatten_light(arena *room, grey dark, grey out)
{
    const float even = (float)border_median(dark.at, dark.width, dark.height, 1);
    byte *mark = room->at;
    const byte *paper = NULL;
#ifndef READ_ONE_LIGHT
    if (is_uneven(dark)) {
        const grey levels = claim_grey(room, dark.width, dark.height);
        if (!room->full)
            paper_of(room, dark, levels);
        paper = levels.at;
    }
#endif
    if (room->full)
        return;
    for (size_t i = 0; i < pixels_of(dark); i++) {
        const float level = paper ? (float)paper[i] : even;
        const float missing = level > dark.at[i] ? level - dark.at[i] : 0;
        out.at[i] = (byte)(missing / (level > 64 ? level : 64) * 255.0f);
    }
    room->at = mark;
}

/* The correlation of neighbours: strokes have it, noise has none. */
static int is_coherent(grey ink)
{
    const int width = ink.width, height = ink.height;
    const double count = (double)width * height;
    double sum = 0, power = 0, across = 0, down = 0;
    float mean;
    for (size_t i = 0; i < pixels_of(ink); i++)
        sum += ink.at[i];
    mean = (float)(sum / count);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const byte *at = ink.at + (size_t)y * width + x;
            const float here = *at - mean;
            power += here * here;
            if (x)
                across += here * (at[-1] - mean);
            if (y)
                down += here * (at[-width] - mean);
        }
    across = across * count / ((double)(width - 1) * height);
    down = down * count / ((double)width * (height - 1));
    return power > 0 && (across + down) / (2 * power) >= 0.18;
}

/* The level that parts ink from paper best (Otsu 1979). */
static int otsu(const uint32_t *counts)
{
    double all = 0, total = 0, below = 0, mass = 0, best = -1;
    int level = 0;
    for (int v = 0; v < 256; v++) {
        all += counts[v];
        total += (double)counts[v] * v;
    }
    for (int v = 0; v < 255; v++) {
        double separation, product;
        below += counts[v];
        mass += (double)counts[v] * v;
        separation = total / all * below - mass;
        product = below * (all - below);
        separation = separation * separation / (product > 1 ? product : 1);
        if (separation > best) {
            best = separation;
            level = v;
        }
    }
    return level;
}

static int is_enlarged(int width, int height) { return least(width, height) < 20; }

/* Of the brightness, which is used up, the ink; 0 where there is only paper. */
static int find_ink(arena *room, grey g, inked *ink)
{
    uint32_t counts[256] = {0}, paper = 0, seen = 0;
    int low = 255, high = 0, level, grain = 0;
    for (size_t i = 0; i < pixels_of(g); i++) {
        low = least(low, g.at[i]);
        high = most(high, g.at[i]);
    }
    if (high - low < MIN_CONTRAST)
        return 0;
    turn_dark_on_bright(room, g, low, high);
    if (is_enlarged(g.width, g.height)) { /* the lines of single pixels need room */
        const grey small = claim_grey(room, g.width, g.height);
        if (room->full)
            return 0;
        flatten_light(room, g, small);
        if (room->full || !is_coherent(small))
            return 0;
        rescale_whole(room, CUBIC, small, ink->shares);
        if (room->full)
            return 0;
    } else {
        flatten_light(room, g, ink->shares);
        if (room->full || !is_coherent(ink->shares))
            return 0;
    }
    high = 0;
    for (size_t i = 0; i < pixels_of(ink->shares); i++) {
        counts[ink->shares.at[i]]++;
        high = most(high, ink->shares.at[i]);
    }
    level = otsu(counts);
    if (level >= high)
        return 0;
    if (quantile(counts, level, 0.5) < MIN_CONTRAST && MIN_CONTRAST <= high / 2)
        level = high / 3; /* so little ink that the two tones parted are the paper's */
    for (int v = 0; v <= level; v++)
        paper += counts[v];
    while ((seen += counts[grain]) < 0.9 * paper)
        grain++;
    /* Ruled lines are paler than the pen: what has not half the ink of the strokes is none. */
    level = most(level, quantile(counts, level, 0.9) / 2);
    ink->top = quantile(counts, level, 0.5);
    if (ink->top < MIN_CONTRAST)
        return 0;
    ink->faint = least(most(2 * grain + 2, rounded(0.05 * ink->top)), level / 2);
    {
        const double base = least(level, ink->top - 1) / 2.0;
        const float start = (float)base, slope = (float)(255 / (ink->top - base));
        for (int v = 0; v < 256; v++) {
            const float value = (v - start) * slope;
            ink->values[v] = (byte)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
    return 1;
}
