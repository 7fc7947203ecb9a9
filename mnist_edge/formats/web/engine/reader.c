/* What the page calls: `pixels` makes room for a picture of RGBA bytes, which is then copied there;
   `read` brings it to the 28 x 28 at `digit`, and says what prepare() says; -2: too small. */
#define EXPORT(name) __attribute__((export_name(#name))) name
#define PAGE ((uintptr_t)65536)
#define ARENA ((uintptr_t)8 << 20)

extern unsigned char __heap_base;
static u8 digit_[784];

static uintptr_t aligned(uintptr_t place) { return (place + 63) & ~(uintptr_t)63; }
static u8 *start(void) { return (u8 *)aligned((uintptr_t)&__heap_base); }

/* 0 where there is not so much memory. */
u8 *EXPORT(pixels)(uint32_t bytes)
{
    const uintptr_t end = aligned((uintptr_t)start() + bytes) + ARENA;
    const uintptr_t size = __builtin_wasm_memory_size(0) * PAGE;
    const int fits = end <= size
        || __builtin_wasm_memory_grow(0, (end - size + PAGE - 1) / PAGE) != (uintptr_t)-1;
    return fits ? start() : 0;
}

u8 *EXPORT(digit)(void) { return digit_; }

/* A browser gives RGBA of every file: what is opaque is taken as RGB, what has no colour as grey. */
static int channels_of(u8 *pixels, size_t count)
{
    int clear = 0, coloured = 0;
    for (const u8 *p = pixels; p < pixels + 4 * count; p += 4) {
        clear |= p[3] != 255;
        coloured |= p[0] != p[1] || p[1] != p[2];
    }
    if (clear)
        return 4;
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < (coloured ? 3 : 1); c++)
            pixels[i * (coloured ? 3 : 1) + c] = pixels[4 * i + c];
    return coloured ? 3 : 1;
}

int EXPORT(read)(int width, int height)
{
    const size_t count = (size_t)width * height;
    u8 *in = start(), *memory = (u8 *)aligned((uintptr_t)in + 4 * count);
    int box[4];
    return prepare(in, width, height, channels_of(in, count), digit_, box, memory, ARENA);
}
