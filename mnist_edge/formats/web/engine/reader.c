/* ---- What the page calls ---------------------------------------------------------------------
   `pixels` makes room for a picture of RGBA bytes, which is then copied there; `read` says what
   prepare() says, what it read is at `readings` then. */
#define EXPORT(name) __attribute__((export_name(#name))) name
#define PAGE ((uintptr_t)65536)

extern unsigned char __heap_base;
static byte found[2 * DIGIT_PIXELS];

static uintptr_t aligned(uintptr_t place) { return (place + 63) & ~(uintptr_t)63; }
static byte *start(void) { return (byte *)aligned((uintptr_t)&__heap_base); }

static int has_room(uintptr_t end)
{
    const uintptr_t size = __builtin_wasm_memory_size(0) * PAGE;
    return end <= size
        || __builtin_wasm_memory_grow(0, (end - size + PAGE - 1) / PAGE) != (uintptr_t)-1;
}

/* 0 where there is not so much memory. */
byte *EXPORT(pixels)(uint32_t bytes)
{
    return has_room((uintptr_t)start() + bytes) ? start() : 0;
}

byte *EXPORT(readings)(void) { return found; }

/* A browser gives RGBA of every file: what is opaque is taken as RGB, what has no colour as grey. */
static int channels_of(byte *pixels, size_t count)
{
    int clear = 0, coloured = 0;
    for (const byte *p = pixels; p < pixels + 4 * count; p += 4) {
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
    const int channels = channels_of(start(), count);
    const uintptr_t memory = aligned((uintptr_t)start() + channels * count);
    const size_t bytes = prepare_bytes(width, height, channels);
    fill(found, 0, sizeof found);
    if (!has_room(memory + bytes))
        return NO_MEMORY;
    return prepare(start(), width, height, channels, found, (void *)memory, bytes);
}
