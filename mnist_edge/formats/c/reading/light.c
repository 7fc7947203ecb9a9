#ifndef READ_ONE_LIGHT
/* ---- Uneven light: the paper's own brightness ------------------------------------------------ */

enum { THUMB_SIDE = 48 };

/* The size that keeps the shape best, as Pillow's thumbnail has it. */
static void thumb_size(grey in, int *width, int *height)
{
    const double aspect = (double)in.width / in.height;
    *width = *height = THUMB_SIDE;
    if (THUMB_SIDE >= in.width && THUMB_SIDE >= in.height) {
        *width = in.width;
        *height = in.height;
    } else if (aspect <= 1) {
        const double exact = THUMB_SIDE * aspect;
        const int low = (int)exact, high = rounded_up(exact);
        *width = most(size_of(aspect - (double)low / THUMB_SIDE)
                          <= size_of(aspect - (double)high / THUMB_SIDE) ? low : high, 1);
    } else {
        const double exact = THUMB_SIDE / aspect;
        const int low = (int)exact, high = rounded_up(exact);
        const double below = low ? size_of(aspect - (double)THUMB_SIDE / low) : 0;
        *height = most(below <= size_of(aspect - (double)THUMB_SIDE / high) ? low : high, 1);
    }
}

static void reduce(grey in, int across, int down, grey out)
{
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++) {
            const int right = least(in.width, (x + 1) * across);
            const int bottom = least(in.height, (y + 1) * down);
            uint32_t sum = 0;
            for (int j = y * down; j < bottom; j++)
                for (int i = x * across; i < right; i++)
                    sum += in.at[(size_t)j * in.width + i];
            out.at[(size_t)y * out.width + x] =
                mean_of(sum, (uint32_t)((right - x * across) * (bottom - y * down)));
        }
}

static grey thumb_of(arena *room, grey in)
{
    grey small = in, thumb;
    int width, height, across, down;
    double right, bottom;
    thumb_size(in, &width, &height);
    across = most((int)((double)in.width / width / 2.0), 1);
    down = most((int)((double)in.height / height / 2.0), 1);
    thumb = claim_grey(room, width, height);
    right = (double)in.width / across;
    bottom = (double)in.height / down;
    if (across > 1 || down > 1) {
        small = claim_grey(room, (in.width + across - 1) / across, (in.height + down - 1) / down);
        if (!room->full)
            reduce(in, across, down, small);
    }
    if (!room->full)
        rescale(room, BY_AREA, small, 0, 0, right, bottom, thumb);
    return thumb;
}

/* The largest in the square that reaches so far each way, where all of it is inside. */
static grey largest_inside(arena *room, grey in, int reach)
{
    const grey rows = claim_grey(room, in.width - 2 * reach, in.height);
    const grey out = claim_grey(room, rows.width, in.height - 2 * reach);
    if (room->full)
        return out;
    for (int y = 0; y < rows.height; y++)
        for (int x = 0; x < rows.width; x++) {
            int value = 0;
            for (int i = 0; i <= 2 * reach; i++)
                value = most(value, in.at[y * in.width + x + i]);
            rows.at[y * rows.width + x] = (byte)value;
        }
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++) {
            int value = 0;
            for (int i = 0; i <= 2 * reach; i++)
                value = most(value, rows.at[(y + i) * rows.width + x]);
            out.at[y * out.width + x] = (byte)value;
        }
    return out;
}

/* Beyond its ends a line goes on, mirrored in place and value. */
static int carried_on(const int16_t *line, int step, int count, int reach, int place)
{
    const int at = place - reach;
    if (at < 0)
        return 2 * line[0] - line[least(-at, count - 1) * step];
    if (at >= count)
        return 2 * line[(count - 1) * step]
            - line[(count - 1 - least(at - count + 1, count - 1)) * step];
    return line[at * step];
}

/* 255 less the picture, carried on by `reach` and with one black pixel around it. */
static grey negative_of(arena *room, grey in, int reach)
{
    const int width = in.width + 2 * reach, height = in.height + 2 * reach;
    const grey out = claim_grey(room, width + 2, height + 2);
    int16_t *line = (int16_t *)claim(room, sizeof *line * (in.height + (size_t)in.width * height));
    int16_t *tall = line ? line + in.height : NULL;
    if (room->full)
        return out;
    for (int x = 0; x < in.width; x++) {
        for (int y = 0; y < in.height; y++)
            line[y] = in.at[y * in.width + x];
        for (int y = 0; y < height; y++)
            tall[y * in.width + x] = (int16_t)carried_on(line, 1, in.height, reach, y);
    }
    fill(out.at, 0, pixels_of(out));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            out.at[(y + 1) * out.width + x + 1] = (byte)bounded(
                255 - carried_on(tall + y * in.width, 1, in.width, reach, x), 0, 255);
    return out;
}

static byte third_of(int sum) { return (byte)(((uint32_t)sum * 5592405u + 8388608u) >> 24); }

/* The mean over 3x3 pixels, of those that have all of them. */
static grey smooth(arena *room, grey in)
{
    const grey out = claim_grey(room, in.width - 2, in.height - 2);
    byte *rows = (byte *)claim(room, (size_t)out.width * in.height);
    if (room->full)
        return out;
    for (int y = 0; y < in.height; y++)
        for (int x = 0; x < out.width; x++) {
            const byte *at = in.at + y * in.width + x;
            rows[y * out.width + x] = third_of(at[0] + at[1] + at[2]);
        }
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++) {
            const byte *at = rows + y * out.width + x;
            out.at[y * out.width + x] = third_of(at[0] + at[out.width] + at[2 * out.width]);
        }
    return out;
}

/* The morphological closing over a third of the side: wider than any stroke. */
static void paper_of(arena *room, grey dark, grey paper)
{
    const grey thumb = thumb_of(room, dark);
    const int reach = most(thumb.width, thumb.height) / 6;
    grey closed = framed(room, thumb, reach);
    closed = largest_inside(room, closed, reach);
    closed = negative_of(room, closed, reach);
    closed = largest_inside(room, closed, reach);
    if (room->full)
        return;
    for (size_t i = 0; i < pixels_of(closed); i++)
        closed.at[i] = (byte)(255 - closed.at[i]);
    closed = smooth(room, closed);
    if (!room->full)
        rescale_whole(room, LINEAR, closed, paper);
}
#endif
