/* ---- From ink to the 28x28 (digit.py) -------------------------------------------------------- */

enum { FINE = 4, MARGIN = 8, BOX_SIDE = 20 };

/* Cuts to the strokes, in its own memory. */
static void tighten(grey *ink)
{
    box b = {ink->width, ink->height, 0, 0};
    const int stride = ink->width;
    for (int y = 0; y < ink->height; y++)
        for (int x = 0; x < stride; x++)
            if (ink->at[(size_t)y * stride + x] > 63) {
                const box here = {x, y, x + 1, y + 1};
                b = both(b, here);
            }
    if (b.right == 0)
        return;
    ink->width = width_of(b);
    ink->height = height_of(b);
    for (int y = 0; y < ink->height; y++)
        carry(ink->at + (size_t)y * ink->width,
              ink->at + (size_t)(y + b.top) * stride + b.left, (size_t)ink->width);
}

/* The square root of a whole number, by Newton's method. */
static float root(int square)
{
    float x = 1;
    for (int rest = square; rest > 1; rest /= 4)
        x *= 2;
    for (int i = 0; i < 4; i++)
        x = (x + (float)square / x) / 2;
    return x;
}

/* A stroke of width w and length l has the area w l and an outline of 2 l, which is the total
   variation of the picture (the coarea formula). */
static double stroke_width(grey g)
{
    double area = 0, outline = 0;
    for (int y = 0; y < g.height; y++)
        for (int x = 0; x < g.width; x++) {
            const byte *at = g.at + (size_t)y * g.width + x;
            area += *at;
            if (x + 1 < g.width && y + 1 < g.height) {
                const int across = at[1] - at[0], down = at[g.width] - at[0];
                outline += across || down ? root(across * across + down * down) : 0;
            }
        }
    return outline > 0 ? 2 * area / outline : 0;
}

/* Moves every edge by one pixel: out, or in where `flip` is 255. `spare` holds two rows. */
static void grow(grey g, int square, int flip, byte *spare)
{
    byte *before = spare, *here = spare + g.width;
    const size_t width = (size_t)g.width;
    for (int y = 0; y < g.height; y++) {
        byte *row = g.at + (size_t)y * width;
        const byte *after = y + 1 < g.height ? row + width : NULL;
        carry(here, row, width);
        for (int x = 0; x < g.width; x++) {
            int value = here[x] ^ flip;
            for (int i = most(x - 1, 0); i <= least(x + 1, g.width - 1); i++) {
                value = most(value, here[i] ^ flip);
                if ((square || i == x) && y)
                    value = most(value, before[i] ^ flip);
                if ((square || i == x) && after)
                    value = most(value, after[i] ^ flip);
            }
            row[x] = (byte)(value ^ flip);
        }
        byte *swap = before;
        before = here;
        here = swap;
    }
}

/* How many pixels more a stroke may need on each side before it is averaged down. */
static int growing_room(int side) { return rounded(side / (double)(BOX_SIDE * FINE)); }

/* Brings the longer side to 80 pixels, with room around it for the strokes to grow. */
static grey enlarge(arena *room, grey ink)
{
    double scale = BOX_SIDE * FINE / (double)most(ink.width, ink.height);
    grey fine;
    if (scale < 1) { /* averaged down, a line thinner than two pixels would fade away */
        const int margin = growing_room(most(ink.width, ink.height));
        byte *rows;
        ink = framed(room, ink, margin);
        rows = (byte *)claim(room, 2 * (size_t)ink.width);
        if (room->full)
            return ink;
        for (int i = rounded((2 / scale - stroke_width(ink)) / 2); i > 0; i--)
            grow(ink, 0, 0, rows);
        tighten(&ink);
        scale = BOX_SIDE * FINE / (double)most(ink.width, ink.height);
    }
    fine = claim_grey(room, most(1, rounded(ink.width * scale)), most(1, rounded(ink.height * scale)));
    if (scale > 1) {
        byte *mark = room->at;
        const grey frame = framed(room, ink, 1);
        if (!room->full)
            rescale(room, CUBIC, frame, 1, 1, 1 + ink.width, 1 + ink.height, fine);
        room->at = mark;
    } else if (!room->full)
        rescale_whole(room, BY_AREA, ink, fine);
    return framed(room, fine, MARGIN);
}

/* Thickens a thin pen and thins a felt tip: nets have seen MNIST's pencil only. */
static void bring_stroke(arena *room, grey *fine)
{
    const grey sharp = claim_grey(room, fine->width, fine->height);
    byte *rows = (byte *)claim(room, 2 * (size_t)fine->width);
    double change;
    if (room->full)
        return;
    for (size_t i = 0; i < pixels_of(sharp); i++)
        sharp.at[i] = (byte)bounded((fine->at[i] - 96) * 4, 0, 255);
    change = 2.2 - stroke_width(sharp) / FINE;
    change = change > 2 ? 2 : change < -2 ? -2 : change;
    if (size_of(change) < 0.3)
        return;
    for (int i = 0; i < rounded(size_of(change) * FINE / 2); i++)
        grow(sharp, i % 2, change < 0 ? 255 : 0, rows);
    *fine = sharp;
}

/* Puts the centre of mass on pixel (14, 14) by a whole shift, as MNIST does. */
static void centre(grey small, byte *out)
{
    int64_t total = 0, down = 0, across = 0;
    int top, left;
    for (int y = 0; y < small.height; y++)
        for (int x = 0; x < small.width; x++) {
            const int value = small.at[y * small.width + x];
            total += value;
            down += value * y;
            across += value * x;
        }
    top = rounded(DIGIT_SIDE / 2 - (double)down / (double)total);
    left = rounded(DIGIT_SIDE / 2 - (double)across / (double)total);
    top = bounded(top, 0, DIGIT_SIDE - small.height);
    left = bounded(left, 0, DIGIT_SIDE - small.width);
    fill(out, 0, DIGIT_PIXELS);
    for (int y = 0; y < small.height; y++)
        carry(out + (top + y) * DIGIT_SIDE + left, small.at + y * small.width, (size_t)small.width);
}

/* The ink of one digit, which is used up. 0: nothing is left of it. */
static int normalise(arena *room, grey ink, byte *out)
{
    grey fine, small;
    double scale;
    int brightest = 0;
    tighten(&ink);
    fine = enlarge(room, ink);
    if (!room->full)
        bring_stroke(room, &fine);
    if (room->full)
        return 0;
    tighten(&fine);
    scale = BOX_SIDE / (double)most(fine.width, fine.height);
    small = claim_grey(
        room, most(1, rounded(fine.width * scale)), most(1, rounded(fine.height * scale)));
    if (!room->full)
        rescale_whole(room, BY_AREA, fine, small);
    if (room->full)
        return 0;
    for (size_t i = 0; i < pixels_of(small); i++)
        brightest = most(brightest, small.at[i]);
    if (!brightest)
        return 0;
    for (size_t i = 0; i < pixels_of(small); i++) {
        const float value = small.at[i] * (255.0f / (float)brightest);
        small.at[i] = (byte)(value + 0.5f);
    }
    centre(small, out);
    return 1;
}

/* Whether a picture already is normalised as MNIST is; it is then not touched. */
static int is_mnist_digit(const byte *at)
{
    box b = {DIGIT_SIDE, DIGIT_SIDE, 0, 0};
    int brightest = 0, inked = 0;
    int64_t total = 0, across = 0, down = 0;
    for (int y = 0; y < DIGIT_SIDE; y++)
        for (int x = 0; x < DIGIT_SIDE; x++) {
            const int value = at[y * DIGIT_SIDE + x];
            const box here = {x, y, x + 1, y + 1};
            if (!value)
                continue;
            brightest = most(brightest, value);
            inked++;
            total += value;
            across += value * x;
            down += value * y;
            b = both(b, here);
        }
    return brightest >= 200 && inked <= DIGIT_PIXELS * 0.6
        && longer_side(b) >= BOX_SIDE - 2 && longer_side(b) <= BOX_SIDE
        && size_of((double)across / (double)total - DIGIT_SIDE / 2) <= 0.51
        && size_of((double)down / (double)total - DIGIT_SIDE / 2) <= 0.51;
}
