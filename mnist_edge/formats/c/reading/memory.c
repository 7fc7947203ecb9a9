/* ---- How much memory reading takes ----------------------------------------------------------- */

static size_t greater(size_t a, size_t b) { return a > b ? a : b; }

/* Of a page so many pixels large, and one side of it so long. `given`: before it is enlarged. */
static size_t page_bytes(size_t given, size_t pixels, size_t side, int channels)
{
    const size_t count = most_parts(pixels), margin = side / 80 + 1;
    const size_t numbered = 2 * least((int)((pixels + 2 * side) / 4) + 2, 65535);
    const size_t list = sizeof(part) * count, start = sizeof(digits) + pixels + 2048;
    size_t ink = greater(channels == 1 ? 0 : given * (channels + 1), given + 5 * side);
    size_t marks = 2 * pixels + count, found = 2 * count + numbered, digit = 3 * pixels;
    ink += 2 * given + 24 * side; /* what is given and enlarged, and the weights of that */
#ifndef READ_ONE_LIGHT
    ink = greater(ink, 3 * given + 38000 + 72 * side);
#endif
#if !defined(READ_NO_LINES) || !defined(READ_NO_FAINT)
    marks += 2 * pixels;
#endif
#ifndef READ_NO_LINES
    {
        const size_t runs = 3 * (pixels + 2 * side) + 4 * (2 * side + 64) + 2 * side;
        const size_t rest = 3 * ALL_LINES + 2 * pixels + count + numbered;
        found = greater(found, pixels + ALL_LINES * (1 + sizeof(straight)) + greater(runs, rest));
    }
#endif
#ifndef READ_NO_FAINT
    found = greater(found, 2 * count + numbered + list + 4 * side);
    digit += 2 * pixels;
#endif
    found = marks + list + greater(found, 2 * count + sizeof(digits) + count);
    found = start + greater(ink, greater(found, digit));
    /* A digit at the end: the ink of two, one with its margin, and what both are brought to. */
    digit = 3 * pixels + 4 * margin * (side + margin) + 84 * (side + 2 * margin) + 30000;
    return greater(found, digit);
}

/* Bytes that `prepare` needs at most; 0: there can be no such picture, and it says why. */
static size_t prepare_bytes(int width, int height, int channels)
{
    view whole = {NULL, width, height, channels, {0, 0, width, height}, 1};
    size_t pixels, times, bytes;
    if (is_bad(width, height, channels))
        return 0;
    whole.factor = reduction(width, height, WORK_SIDE);
    if (refused(&whole))
        return 0;
    pixels = (size_t)page_width(&whole) * page_height(&whole);
    times = is_enlarged(page_width(&whole), page_height(&whole)) ? 4 : 1;
    bytes = page_bytes(pixels, pixels * times * times,
                       most(page_width(&whole), page_height(&whole)) * times, channels);
#ifndef READ_ONE_LOOK
    if (whole.factor > 1) { /* the second look may be at any part, and less reduced */
        const size_t side = least(most(width, height), LONGEST_SIDE / 8);
        const size_t all = (size_t)width * height, few = CLOSEST * CLOSEST + 2 * side + 1;
        pixels = all < few ? all : few;
        bytes = greater(bytes, page_bytes(pixels, pixels, side, channels));
        bytes = greater(bytes, page_bytes(19 * side, 304 * side, 4 * side, channels));
    }
#endif
    return bytes;
}
