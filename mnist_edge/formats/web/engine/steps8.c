/* What int8 has of its own: the picture is of float32 still, and lies by itself. */
static float *picture_of(uint8_t *workspace)
{
    static float picture[PICTURE] ALIGNED;
    return (void)workspace, picture;
}

static ending ending_of(const step_of_net *s, const unsigned char *constants)
{
    return (ending){(const float *)(constants + s->factor), s->zero, s->relu};
}

static float answer(const head_of_net *net, uint8_t byte)
{
    const float *scale = (const float *)((const unsigned char *)net + net->scale);
    return (float)(byte - net->zero) * *scale;
}

static void plain(const step_of_net *s, const unsigned char *constants, uint8_t *workspace)
{
    const float *factor = (const float *)(constants + s->factor);
    switch (s->kind) {
    case POOL:
        pool(s->channels, s->in_height, s->in_width, workspace + s->in, s->in_row, s->rows,
             s->columns, s->stride_y, s->stride_x, s->top, s->left, s->height, s->width,
             workspace + s->out, s->out_row);
        break;
    case TO_BYTES:
        to_bytes(s->height, s->width, picture_of(workspace), s->in_row, factor[0], factor[1],
                 workspace + s->out, s->out_row, s->zero);
        break;
    }
}
