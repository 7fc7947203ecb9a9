/* ---- One digit of a page (parts.py, page.py) ------------------------------------------------- */

/* What was seen of a picture: its ink, the parts, and what they make up. `spare` are the parts of
   all ink at the end, and `links` NULL where faint ink has no say. */
typedef struct {
    inked ink;
    parts dark;
    digits *found;
    plane spare;
    uint16_t *links;
} seen;

static int page_width(const view *v) { return reduced(width_of(v->place), v->factor); }
static int page_height(const view *v) { return reduced(height_of(v->place), v->factor); }

/* Why a part of a picture cannot be looked at; 0 where it can. */
static int refused(const view *v)
{
    const int width = width_of(v->place), height = height_of(v->place);
    const uint64_t blocks = (uint64_t)v->factor * v->factor;
    if (least(width, height) < MIN_SIDE)
        return TOO_SMALL;
    if ((uint64_t)width * (uint64_t)height > blocks * MOST_PIXELS
        || most(page_width(v), page_height(v)) > LONGEST_SIDE / 8)
        return NO_PAGE;
    return 0;
}

/* The dark parts that may be digits; 0 where there are none. */
static int find_marks(arena *room, seen *page)
{
    const int cut = leave_inside(room, &page->ink, &page->dark);
    if (cut < 0 || cut > 5)
        return 0;
#ifndef READ_NO_LINES
    if (may_hold_lines(&page->dark)) {
        byte *mark = room->at, *flags = (byte *)claim(room, pixels_of(page->ink.shares));
        const int some = !room->full
            && find_lines(room, &page->ink, &page->dark, page->spare, flags);
        if (room->full)
            return 0;
        if (some)
            without_lines(&page->ink, flags, page->dark.labels);
        room->at = mark;
        if (some ? leave_inside(room, &page->ink, &page->dark) < 0
                 : !find_dark(room, &page->ink, &page->dark))
            return 0;
    }
#endif
    return page->dark.count && crossings(&page->dark.labels) <= 24;
}

/* 1 where digits are found, 0 where none is, or why it cannot be looked at. */
static int look(arena *room, const view *v, seen *page)
{
    const int width = page_width(v), height = page_height(v), why = refused(v);
    const int times = is_enlarged(width, height) ? 4 : 1;
    const size_t count = most_parts((size_t)times * width * (size_t)times * height);
    byte *mark;
    grey given;
    if (why)
        return why;
    page->links = NULL;
    page->found = (digits *)claim(room, sizeof *page->found);
    page->ink.shares = claim_grey(room, times * width, times * height);
    mark = room->at;
    given = claim_grey(room, width, height);
    if (room->full)
        return NO_MEMORY;
    grey_of(room, v, given);
    if (room->full || !find_ink(room, given, &page->ink))
        return room->full ? NO_MEMORY : 0;
    room->at = mark;
    page->dark.labels = claim_plane(room, times * width, times * height);
    page->dark.most = (int)count;
    page->found->owner = (byte *)claim(room, count);
#if !defined(READ_NO_LINES) || !defined(READ_NO_FAINT)
    page->spare = claim_plane(room, times * width, times * height);
#endif
    page->dark.list = (part *)claim(room, sizeof *page->dark.list * count);
    if (room->full || !find_marks(room, page))
        return room->full ? NO_MEMORY : 0;
#ifndef READ_NO_FAINT
    {
        const int much = fades(room, &page->ink, page->spare);
        uint16_t *links = (uint16_t *)claim(room, 2 * (size_t)page->dark.count);
        if (!room->full && (much || page->dark.count > 1)) {
            if (!find_faint(room, &page->ink, &page->dark, much, page->spare, links))
                return room->full ? NO_MEMORY : 0;
            page->links = links;
        }
    }
#endif
    if (!room->full && !group_digits(room, &page->dark, page->links, !is_fine(&page->ink),
                                     page->found))
        return room->full ? NO_MEMORY : 0;
    return room->full ? NO_MEMORY : 1;
}

#ifndef READ_ONE_LOOK
/* Where a digit stands, in pixels of what was looked at. */
static box box_in_view(const view *v, const seen *page, int index)
{
    const int width = width_of(v->place), height = height_of(v->place);
    const grey ink = page->ink.shares;
    const double scale = most(width, height) / (double)most(ink.width, ink.height);
    const box b = page->found->list[index].around;
    const box found = {(int)(b.left * scale), (int)(b.top * scale),
                       least(rounded(b.right * scale), width),
                       least(rounded(b.bottom * scale), height)};
    return found;
}

/* Whether small digits have more pixels than were looked at, and how to look at those. */
static int is_worth_a_look(const view *v, const seen *page, view *closer)
{
    const digits *all = page->found;
    box around = {v->width, v->height, 0, 0};
    int typical = 0, count = 0;
    if (v->factor == 1)
        return 0;
    for (int i = 0; i < all->count; i++)
        if (all->list[i].alive) {
            around = both(around, box_in_view(v, page, i));
            count++;
        }
    for (int i = 0; i < all->count; i++) { /* the middle one by height */
        const int height = height_of(box_in_view(v, page, i));
        int lower = 0, alike = 0;
        if (!all->list[i].alive)
            continue;
        for (int k = 0; k < all->count; k++)
            if (all->list[k].alive) {
                const int other = height_of(box_in_view(v, page, k));
                lower += other < height;
                alike += other == height;
            }
        if (lower <= count / 2 && count / 2 < lower + alike)
            typical = height;
    }
    if (most(1, typical / 40) >= v->factor)
        return 0;
    *closer = *v;
    closer->place.left = most(around.left - typical, 0);
    closer->place.top = most(around.top - typical, 0);
    closer->place.right = least(around.right + typical, v->width);
    closer->place.bottom = least(around.bottom + typical, v->height);
    closer->factor = most(most(1, typical / 40), reduction(
        width_of(closer->place), height_of(closer->place), CLOSEST));
    return 1;
}
#endif

/* What a part is of: 1 the digit that is read first, 2 any digit. */
static byte readings_of(const digits *all, int part, int best)
{
    const int owner = all->owner[part];
    return owner == DUST || !all->list[owner].alive ? 0 : (byte)(2 | (owner == best));
}

/* Of each pixel, what it is of; 4 and 8 are the same of faint ink. In the memory of the labels. */
static byte *mark_readings(const seen *page, int best)
{
    const size_t count = pixels_of(page->ink.shares);
    const uint16_t *labels = page->dark.labels.at;
    byte *out = (byte *)page->dark.labels.at;
    for (size_t i = 0; i < count; i++)
        out[i] = labels[i] ? readings_of(page->found, labels[i] - 1, best) : 0;
#ifndef READ_NO_FAINT
    for (int i = 0; page->links && i < page->dark.count; i++) {
        const int link = page->links[i];
        int own = link ? readings_of(page->found, i, best) : 0;
        /* What holds others, too, has no say; of the rest the first says it for all. */
        for (int k = 0; k < page->dark.count && own; k++)
            if (page->links[k] == link)
                own &= k < i ? 0 : readings_of(page->found, k, best);
        for (size_t at = 0; at < count && own; at++)
            if (page->spare.at[at] == link)
                out[at] |= (byte)(own << 2);
    }
#endif
    return out;
}

/* The ink of a reading, with the soft rim outside its parts. */
static grey ink_of(arena *room, const inked *ink, const byte *marks, int reading, box b)
{
    const int left = most(b.left - 1, 0), top = most(b.top - 1, 0), width = ink->shares.width;
    const grey out = claim_grey(room, least(b.right + 1, width) - left,
                               least(b.bottom + 1, ink->shares.height) - top);
    const size_t start = (size_t)top * width + left;
    int faded = 0;
    if (room->full)
        return out;
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++) {
            const int mark = marks[start + (size_t)y * width + x];
            out.at[(size_t)y * out.width + x] = (mark & reading) != 0;
            faded |= mark & reading << 2;
        }
    grow_bytes(out.at, out.width, out.height, 1, 2);
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++) {
            const size_t at = start + (size_t)y * width + x;
            byte *to = out.at + (size_t)y * out.width + x;
            *to = !*to && !(marks[at] & reading << 2) ? 0
                : faded ? ink->shares.at[at] : (byte)value_at(ink, at);
        }
#ifndef READ_NO_FAINT
    if (faded)
        even_out(room, ink, out);
#endif
    return out;
}

/* The largest digit, and where there are several that may be pieces of one, all of them together;
   how many there are to read. Their ink lies at the start of the memory then. */
static int take_digits(arena *room, byte *start, const seen *page, grey *found)
{
    const digits *all = page->found;
    box around = {LONGEST_SIDE, LONGEST_SIDE, 0, 0};
    int best = -1, count = 0, readings;
    byte *end = start, *marks;
    for (int i = 0; i < all->count; i++) {
        const digit *one = all->list + i;
        if (!one->alive)
            continue;
        around = both(around, one->around);
        count++;
        if (best < 0 || one->area > all->list[best].area
            || (one->area == all->list[best].area
                && one->around.left < all->list[best].around.left))
            best = i;
    }
    readings = count > 1 && !is_wide(around) ? 2 : 1;
    marks = mark_readings(page, best);
    room->at = marks;
    claim(room, pixels_of(page->ink.shares));
    found[0] = ink_of(room, &page->ink, marks, 1, all->list[best].around);
    if (readings == 2)
        found[1] = ink_of(room, &page->ink, marks, 2, around);
    for (int i = 0; i < readings && !room->full; i++) {
        carry(end, found[i].at, pixels_of(found[i]));
        found[i].at = end;
        end += pixels_of(found[i]);
    }
    room->at = start + (((size_t)(end - start) + 15) & ~(size_t)15);
    return readings;
}

static int is_bad(int width, int height, int channels)
{
#ifdef READ_GREY
    return width < 1 || height < 1 || channels != 1;
#else
    return width < 1 || height < 1 || (channels != 1 && channels != 3 && channels != 4);
#endif
}

/* Brings a picture to what a net takes: how many readings there are in `readings`, each of 784
   bytes. 0: there is none; 2: what the net is surer of counts; else why it cannot be read. */
static int prepare(const byte *pixels, int width, int height, int channels, byte *readings,
    void *memory, size_t bytes)
{
    view whole = {pixels, width, height, channels, {0, 0, width, height}, 1};
    arena room = {(byte *)memory, (byte *)memory + bytes, 0};
    seen page;
    grey found[2];
    byte *start;
    int count;
    if (!pixels || !readings || !memory || is_bad(width, height, channels))
        return BAD_ARGUMENT;
    if (channels == 1 && width == DIGIT_SIDE && height == DIGIT_SIDE && is_mnist_digit(pixels)) {
        carry(readings, pixels, DIGIT_PIXELS);
        return 1;
    }
    whole.factor = reduction(width, height, WORK_SIDE);
    if (refused(&whole))
        return refused(&whole);
    if (bytes < 16)
        return NO_MEMORY;
    room.at = start = (byte *)memory + (-(uintptr_t)memory & 15);
    count = look(&room, &whole, &page);
    if (count <= 0)
        return count;
#ifndef READ_ONE_LOOK
    {
        view closer;
        if (is_worth_a_look(&whole, &page, &closer)) {
            room.at = start;
            count = look(&room, &closer, &page);
            if (count == 0) {
                room.at = start;
                count = look(&room, &whole, &page);
            }
            if (count < 0)
                return count;
        }
    }
#endif
    count = take_digits(&room, start, &page, found);
    for (int i = 0; i < count && !room.full; i++) {
        byte *mark = room.at;
        if (!normalise(&room, found[i], readings + i * DIGIT_PIXELS))
            count = i;
        if (!room.full)
            room.at = mark;
    }
    return room.full ? NO_MEMORY : count;
}
