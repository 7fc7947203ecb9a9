/* What float32 has of its own: the picture lies at the start of the workspace. */
static float *picture_of(float *workspace) { return workspace; }

static ending ending_of(const step_of_net *s, const unsigned char *constants)
{
    return (void)constants, s->relu;
}

static float answer(const head_of_net *net, float sum) { return (void)net, sum; }

static void plain(const step_of_net *s, const unsigned char *constants, float *workspace)
{
    const float *in = workspace + s->in;
    const float *bias = (const float *)(constants + s->bias);
    const float *weight = (const float *)(constants + s->weight);
    float *out = workspace + s->out;
    switch (s->kind) {
    case POOL:
        pool(s->choice, s->channels, s->in_height, s->in_width, in, s->in_row, s->rows, s->columns,
             s->stride_y, s->stride_x, s->top, s->left, s->zero, s->height, s->width,
             out, s->out_row, s->relu);
        break;
    case SCALE:
        scale(s->channels, s->height, s->width, in, s->in_row, s->in_next, s->in_apart,
              weight, bias, out, s->out_row, s->out_next, s->relu);
        break;
    case COPY_STEP:
        copy(s->channels, s->height, s->width, in, s->in_row, s->in_next, s->in_apart,
             out, s->out_row, s->out_next);
        break;
    case ADD:
        add(s->channels, s->height, s->width, in, s->in_row, workspace + s->other, s->other_row,
            out, s->out_row, s->relu);
        break;
    case DEPTHWISE:
        depthwise(s->channels, s->height, s->width, in, s->in_row, s->rows, s->columns,
                  s->stride_y, s->stride_x, weight, bias, out, s->out_row, s->relu);
        break;
    case SPACE:
        space_to_depth(s->channels, s->choice, s->height, s->width, in, s->in_row,
                       out, s->out_row);
        break;
    }
}
