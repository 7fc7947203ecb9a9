/* ---- Plain steps --------------------------------------------------------------------------- */

/* Each channel by itself: a factor and an offset. `apart` is the distance of the channels. */
INLINE void scale(const int channels, int height, int width, const float *in, int in_row,
    int in_next, int apart, const float *factor, const float *offset,
    float *out, int out_row, int out_next, int relu)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                const float sum = in[y * in_row + x * in_next + c * apart] * factor[c] + offset[c];
                out[y * out_row + x * out_next + c] = relu && sum < 0.0f ? 0.0f : sum;
            }
}

/* Copy to another place: `apart` is the distance of the channels that are read. */
INLINE void copy(const int channels, int height, int width, const float *in, int in_row,
    int in_next, int apart, float *out, int out_row, int out_next)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                out[y * out_row + x * out_next + c] = in[y * in_row + x * in_next + c * apart];
}

INLINE void add(const int channels, int height, int width, const float *a, int a_row,
    const float *b, int b_row, float *out, int out_row, int relu)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width * channels; x++) {
            const float sum = a[y * a_row + x] + b[y * b_row + x];
            out[y * out_row + x] = relu && sum < 0.0f ? 0.0f : sum;
        }
}

/* The largest or the mean of each window; `whole` divides by the window where it is cut, too. */
INLINE void pool(const int maximum, const int channels, int in_height, int in_width,
    const float *in, int in_row, int rows, int columns, int stride_y, int stride_x,
    int top, int left, int whole, int height, int width, float *out, int out_row, int relu)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                float best = 0.0f, sum = 0.0f;
                int seen = 0;
                for (int v = y * stride_y - top; v < y * stride_y - top + rows; v++)
                    for (int u = x * stride_x - left; u < x * stride_x - left + columns; u++)
                        if (v >= 0 && v < in_height && u >= 0 && u < in_width) {
                            const float number = in[v * in_row + u * channels + c];
                            best = seen && best > number ? best : number;
                            sum += number;
                            seen++;
                        }
                sum = maximum ? best : sum / (float)(whole ? rows * columns : seen);
                out[y * out_row + x * channels + c] = relu && sum < 0.0f ? 0.0f : sum;
            }
}

/* A convolution in which each channel sees only itself. Weights: [row][column][channel]. */
INLINE void depthwise(const int channels, int height, int width, const float *in, int in_row,
    int rows, int columns, int stride_y, int stride_x, const float *weight, const float *bias,
    float *out, int out_row, int relu)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            float *sum = out + y * out_row + x * channels;
            COPY(sum, bias, sizeof *bias * (size_t)channels);
            for (int k = 0; k < rows * columns; k++) {
                const float *from = in + (y * stride_y + k / columns) * in_row
                                  + (x * stride_x + k % columns) * channels;
                for (int c = 0; c < channels; c++)
                    sum[c] += from[c] * weight[k * channels + c];
            }
            for (int c = 0; c < channels; c++)
                sum[c] = relu && sum[c] < 0.0f ? 0.0f : sum[c];
        }
}

/* Each block x block cell of pixels becomes one pixel; block row, block column, then channel. */
INLINE void space_to_depth(const int channels, int block, int height, int width,
    const float *in, int in_row, float *out, int out_row)
{
    for (int y = 0; y < height * block; y++)
        for (int x = 0; x < width * block; x++)
            COPY(out + y / block * out_row + x / block * channels * block * block
                       + (y % block * block + x % block) * channels,
                   in + y * in_row + x * channels, sizeof *in * (size_t)channels);
}
