/* ---- The engine ------------------------------------------------------------------------------
   What the page calls: `place` makes room for a net, which is then copied there; `start` readies
   it; then `classify` as often as there are pictures at `picture`. */

#define EXPORT(name) __attribute__((export_name(#name))) name
#define PAGE ((uintptr_t)65536)
#define MOST_CLASSES 1024

extern unsigned char __heap_base;
static const head_of_net *net;
static const step_of_net *steps;
static number *workspace;

static uintptr_t aligned(uintptr_t place) { return (place + 63) & ~(uintptr_t)63; }

static int reserve(uintptr_t end)
{
    const uintptr_t size = __builtin_wasm_memory_size(0) * PAGE;
    return end <= size
        || __builtin_wasm_memory_grow(0, (end - size + PAGE - 1) / PAGE) != (uintptr_t)-1;
}

/* One row of results: four pixels at once where there are as many, else one by one. The last four
   may overlap those before them. */
INLINE void row_of(const step_of_net *s, const int pooled, const int vectors, const number *in,
    int first, const weighting *weight, const offset *bias, number *out, ending end)
{
#define TILE(pixels, x) \
    tile(pixels, first, vectors, pooled, in + (x) * (pooled ? 2 : 1) * s->in_next, s->in_next, \
         s->in_apart, s->row, s->rows, s->run, weight, s->wide, bias, \
         out + (x) * s->out_next, s->out_next, end)
    if (pooled)
        for (int x = 0; x < s->width; x++)
            TILE(4, x);
    else if (s->width < 4)
        for (int x = 0; x < s->width; x++)
            TILE(1, x);
    else
        for (int x = 0; x < s->width; x += 4)
            TILE(4, fewer(x, s->width - 4));
}

/* Two vectors of channels at once, the last ones first: see the kernels. */
INLINE void convolve(const step_of_net *s, const int pooled, const number *in,
    const weighting *weight, const offset *bias, number *out, ending end)
{
    const int vectors = VECTORS(s->channels);
    for (int y = 0; y < s->height; y++, in += s->in_row, out += s->out_row) {
        int v = (vectors - 1) / 2 * 2;
        if (vectors - v == 1) {
            row_of(s, pooled, 1, in, v, weight, bias, out, end);
            v -= 2;
        }
        for (; v >= 0; v -= 2)
            row_of(s, pooled, 2, in, v, weight, bias, out, end);
    }
}

static void run(const step_of_net *s)
{
    const unsigned char *constants = (const unsigned char *)net;
    const weighting *weight = (const weighting *)(constants + s->weight);
    const offset *bias = (const offset *)(constants + s->bias);
    const ending end = ending_of(s, constants);
    const number *in = workspace + s->in;
    number *out = workspace + s->out;
    if (s->kind == LINE)
        convolve(s, 0, in, weight, bias, out, end);
    else if (s->kind == POOLED_LINE)
        convolve(s, 1, in, weight, bias, out, end);
    else if (s->kind == DOT)
        dot(s->channels, in, s->run, weight, s->wide, bias, out, end);
    else
        plain(s, constants, workspace);
}

void *EXPORT(place)(uint32_t bytes)
{
    const uintptr_t start = aligned((uintptr_t)&__heap_base);
    net = (const head_of_net *)start;
    steps = (const step_of_net *)(net + 1);
    workspace = (number *)aligned(start + bytes);
    return reserve((uintptr_t)workspace) ? (void *)start : 0;
}

/* 0 where there is no room. Borders are filled once, and stay as they are. */
int EXPORT(start)(void)
{
    if (!reserve((uintptr_t)(workspace + net->workspace)))
        return 0;
    for (int i = 0; i < net->steps; i++)
        if (steps[i].kind == FILL_STEP)
            FILL(workspace + steps[i].out, steps[i].zero, sizeof *workspace * (size_t)steps[i].run);
    return 1;
}

float *EXPORT(picture)(void) { return picture_of(workspace); }

float *EXPORT(classify)(void)
{
    static float logits[MOST_CLASSES];
    for (int i = 0; i < net->steps; i++)
        if (steps[i].kind != FILL_STEP)
            run(steps + i);
    for (int c = 0; c < net->classes; c++)
        logits[c] = answer(net, workspace[net->result + c]);
    return logits;
}

/* So many times, so that a clock shows the net and not the calls. */
void EXPORT(repeat)(int times)
{
    while (times-- > 0)
        classify();
}
