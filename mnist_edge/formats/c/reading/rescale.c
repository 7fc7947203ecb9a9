/* ---- Pictures of another size, as Pillow makes them ------------------------------------------ */

enum { BY_AREA, LINEAR, CUBIC };

static double weight_at(int kind, double x)
{
    if (kind == BY_AREA)
        return x > -0.5 && x <= 0.5 ? 1 : 0;
    x = size_of(x);
    if (kind == LINEAR)
        return x < 1 ? 1 - x : 0;
    if (x < 1)
        return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/* A side of so many pixels: `count` of them, `step` apart. */
typedef struct { int count; ptrdiff_t step; } side;

/* Along one side, for each of `lines.count` lines; weights are whole numbers of 22 bits. */
static void rescale_side(arena *room, int kind, const byte *in, side from, side in_lines,
    double first, double last, byte *out, side to, side out_lines)
{
    const double scale = (last - first) / to.count, wide = scale < 1 ? 1 : scale;
    const double reach = (kind == BY_AREA ? 0.5 : kind == LINEAR ? 1 : 2) * wide;
    const int size = rounded_up(reach) * 2 + 1;
    byte *mark = room->at;
    double *weights = (double *)claim(room, sizeof *weights * size);
    int32_t *whole = (int32_t *)claim(room, sizeof *whole * size);
    if (room->full)
        return;
    for (int x = 0; x < to.count; x++) {
        const double centre = first + (x + 0.5) * scale;
        const int low = most((int)(centre - reach + 0.5), 0);
        const int high = least((int)(centre + reach + 0.5), from.count);
        double sum = 0;
        for (int i = low; i < high; i++) {
            weights[i - low] = weight_at(kind, (i - centre + 0.5) * (1 / wide));
            sum += weights[i - low];
        }
        for (int i = 0; i < high - low; i++) {
            const double v = (sum != 0 ? weights[i] / sum : weights[i]) * (1 << 22);
            whole[i] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
        }
        for (int line = 0; line < in_lines.count; line++) {
            const byte *at = in + line * in_lines.step + low * from.step;
            int32_t value = 1 << 21;
            for (int i = 0; i < high - low; i++)
                value += at[i * from.step] * whole[i];
            out[x * to.step + line * out_lines.step] = (byte)bounded(value >> 22, 0, 255);
        }
    }
    room->at = mark;
}

/* The part of a picture from (left, top) to (right, bottom), which may lie between pixels. Rows come
   first, unless far more of them go than of the columns. */
static void rescale(arena *room, int kind, grey in, float left, float top, float right, float bottom,
    grey out)
{
    const int is_wide = out.width == in.width && left == 0 && right == in.width;
    const int is_high = out.height == in.height && top == 0 && bottom == in.height;
    const int gone = in.height - out.height;
    const int down_first = !is_high && gone > 0 && gone > 2 * (in.width - out.width);
    byte *mark = room->at;
    grey half = in;
    for (int pass = 0; pass < 2 && !room->full; pass++) {
        const int is_down = pass != down_first, is_last = pass || (is_down ? is_wide : is_high);
        grey to = out;
        if (is_down ? is_high : is_wide)
            continue;
        if (!is_last)
            to = is_down ? claim_grey(room, in.width, out.height)
                         : claim_grey(room, out.width, in.height);
        if (room->full)
            return;
        const side rows_in = {half.height, half.width}, rows_out = {to.height, to.width};
        const side columns_in = {half.width, 1}, columns_out = {to.width, 1};
        if (is_down)
            rescale_side(room, kind, half.at, rows_in, columns_in, top, bottom, to.at, rows_out,
                        columns_out);
        else
            rescale_side(room, kind, half.at, columns_in, rows_in, left, right, to.at, columns_out,
                        rows_out);
        half = to;
    }
    if (is_wide && is_high)
        carry(out.at, in.at, pixels_of(out));
    if (!room->full)
        room->at = mark;
}

static void rescale_whole(arena *room, int kind, grey in, grey out)
{
    rescale(room, kind, in, 0, 0, in.width, in.height, out);
}

/* The mean of a block by a reciprocal of 24 bits. */
static byte mean_of(uint32_t sum, uint32_t area)
{
    return (byte)((uint64_t)(sum + area / 2) * (16777216u / area) >> 24);
}

static grey framed(arena *room, grey in, int margin)
{
    const grey out = claim_grey(room, in.width + 2 * margin, in.height + 2 * margin);
    if (room->full)
        return out;
    fill(out.at, 0, pixels_of(out));
    for (int y = 0; y < in.height; y++)
        carry(out.at + (size_t)(y + margin) * out.width + margin,
              in.at + (size_t)y * in.width, (size_t)in.width);
    return out;
}
