#ifndef READ_NO_LINES
/* ---- Lines that belong to the paper (lines.py) ----------------------------------------------- */

enum { SMALL_PAGE = 48 };

/* What of a line is known on the page, turned if it is upright. */
static box line_box(const straight *l)
{
    const box b = {l->part.left + l->start, l->part.top + l->top,
                   l->part.left + l->end, l->part.top + l->bottom};
    return b;
}

static int length_of(const straight *l) { return l->end - l->start; }
static double level_at_start(const straight *l) { return level_on(l, l->start) + l->part.top; }
static double level_at_end(const straight *l) { return level_on(l, l->end) + l->part.top; }
static double near_ends(const straight *l) { return CORNER + 0.05 * length_of(l); }

static int is_inside(box one, box other)
{
    return other.left < one.left && other.top < one.top
        && one.right < other.right && one.bottom < other.bottom;
}

/* Whether there is ink of a part all along both edges, those on its left and right if turned. */
static int has_sides(const plane *p, box b, int number, int is_turned)
{
    const int width = is_turned ? height_of(b) : width_of(b);
    const int height = is_turned ? width_of(b) : height_of(b);
    const ptrdiff_t across = is_turned ? p->width : 1, down = is_turned ? 1 : p->width;
    const uint16_t *at = p->at + (size_t)b.top * p->width + b.left;
    const int rows = most(1, rounded(0.15 * height));
    int above = 0, below = 0;
    for (int x = 0; x < width; x++) {
        int upper = 0, lower = 0;
        for (int y = 0; y < rows; y++) {
            upper |= at[x * across + y * down] == number;
            lower |= at[x * across + (height - 1 - y) * down] == number;
        }
        above += upper;
        below += lower;
    }
    return (double)least(above, below) / width >= 0.9;
}

static int may_be_lines(const parts *all, int number)
{
    const plane *p = &all->labels;
    const box b = box_of(all->list + number - 1);
    if (longer_side(b) < 0.125 * most(p->width, p->height))
        return 0;
    if (width_of(b) >= p->width - 2 || height_of(b) >= p->height - 2
        || width_of(b) > 1.2 * height_of(b))
        return 1;
    for (int i = 0; i < all->count; i++)
        if (is_inside(box_of(all->list + i), b))
            return 1;
    return has_sides(p, b, number, 0) || has_sides(p, b, number, 1);
}

/* Whether a part lies as no digit does: across the page, very wide, around others or a box. */
static int may_hold_lines(const parts *all)
{
    if (most(all->labels.width, all->labels.height) < SMALL_PAGE)
        return 0;
    for (int number = 1; number <= all->count; number++)
        if (may_be_lines(all, number))
            return 1;
    return 0;
}

/* What is no line: its larger parts, and how high they are; 0 if there are none. */
typedef struct { parts found; int height; } written;

/* Ink without some lines; where they cross, specks are left that nobody wrote. */
static void find_written(arena *room, page_lines *page, const byte *without, written *rest)
{
    parts *found = &rest->found;
    const size_t count = (size_t)found->labels.width * found->labels.height;
    byte *mark = room->at, *chosen;
    int some = 0;
    rest->height = 0;
    for (size_t i = 0; i < count; i++) {
        const int across = page->owners[0][i], upright = page->owners[1][i];
        page->flags[i] &= (byte)~FOUND;
        found->labels.at[i] = page->flags[i] & MASK && !(across && without[across - 1])
            && !(upright && without[upright - 1]);
    }
    for (int i = 0; i < page->count; i++)
        if (without[i])
            draw_line(page, i, FOUND, 1);
    for (size_t i = 0; i < count; i++)
        if (page->flags[i] & FOUND)
            found->labels.at[i] = 0;
    if (!find_parts(room, found))
        fill(found->labels.at, 0, 2 * count);
    chosen = (byte *)claim(room, (size_t)found->count);
    if (room->full)
        return;
    for (int i = 0; i < found->count; i++) {
        chosen[i] = longer_side(box_of(found->list + i))
            >= 0.04 * most(found->labels.width, found->labels.height);
        some |= chosen[i];
    }
    for (size_t i = 0; i < count; i++)
        if (found->labels.at[i] && !chosen[found->labels.at[i] - 1])
            found->labels.at[i] = 0;
    if (some)
        rest->height = typical_height(found->list, found->count, chosen);
    room->at = mark;
}

/* Whether a line runs from border to border. */
static int is_across(const straight *l, const plane *p)
{
    const int side = l->upright ? p->height : p->width;
    return l->part.left + l->start <= CORNER && l->part.left + l->end >= side - CORNER;
}

/* Whether another line, on its own level, comes near one at a place. */
static int meets(const straight *l, double place, double level, double near)
{
    const int start = l->part.left + l->start, end = l->part.left + l->end;
    const double first = level_at_start(l), last = level_at_end(l);
    const double at = first + (last - first) * (level - start) / most(1, end - start);
    return start - near <= level && level <= end + near
        && size_of(place - at) <= near + l->thickness / 2;
}

/* Whether a line ends at two others of those chosen, or at one and at the border, if that is so far
   away; `side` is 0 where the border does not count. */
static int ends_at(const page_lines *page, const straight *l, const byte *others, int side, double near)
{
    const int start = l->part.left + l->start, end = l->part.left + l->end;
    int before = 0, after = 0, together = 0;
    for (int i = 0; i < page->count; i++) {
        const straight *other = page->lines + i;
        int at_start, at_end;
        if (!others[i] || other->upright == l->upright)
            continue;
        at_start = meets(other, start, level_at_start(l), near);
        at_end = meets(other, end, level_at_end(l), near);
        before += at_start;
        after += at_end;
        together += at_start || at_end;
    }
    if (before && after)
        return together > 1;
    return side && ((before && end >= side - near) || (after && start <= near));
}

/* Lines as long as a large part, or the page, is wide, that do not just end at others. */
static void find_ruled(const page_lines *page, const byte *group, byte *ruled)
{
    for (int i = 0; i < page->count; i++) {
        const straight *l = page->lines + i;
        const int side = l->upright ? page->groups.height : page->groups.width;
        const int own = width_of(l->part);
        if (!group[i] || own < 0.6 * side || length_of(l) < 0.85 * own)
            continue;
        ruled[i] = (byte)!(is_across(l, &page->groups)
            ? ends_at(page, l, group, 0, CORNER)
            : ends_at(page, l, group, side, near_ends(l)));
    }
}

/* Those that end at others, or at the border, on both sides, as frames and cells do. `group` loses
   those that are ruled. */
static void find_framing(const page_lines *page, byte *group, const byte *ruled, byte *framing)
{
    box around = {LONGEST_SIDE, LONGEST_SIDE, 0, 0}, part = around;
    int found = 0, bound = 0;
    double thickness = 0;
    for (int i = 0; i < page->count; i++)
        group[i] = group[i] && !ruled[i];
    for (int i = 0; i < page->count; i++) {
        const straight *l = page->lines + i;
        const int side = l->upright ? page->groups.height : page->groups.width;
        if (!group[i] || !ends_at(page, l, group, side, near_ends(l)))
            continue;
        framing[i] = 2; /* not surely yet */
        found++;
        around = both(around, l->upright ? turned(line_box(l)) : line_box(l));
        part = l->upright ? turned(l->part) : l->part;
    }
    if (found < 3 || width_of(around) < 0.7 * width_of(part)
        || height_of(around) < 0.7 * height_of(part))
        bound = -1;
    for (int i = 0; i < page->count && !bound; i++) { /* the middle one by thickness */
        int thinner = 0, alike = 0;
        if (framing[i] != 2)
            continue;
        for (int k = 0; k < page->count; k++)
            if (framing[k] == 2) {
                thinner += page->lines[k].thickness < page->lines[i].thickness;
                alike += page->lines[k].thickness == page->lines[i].thickness;
            }
        if (thinner <= found / 2 && found / 2 < thinner + alike) {
            thickness = page->lines[i].thickness;
            bound = 1;
        }
    }
    for (int i = 0; i < page->count; i++)
        if (framing[i] == 2)
            framing[i] = bound > 0 && page->lines[i].thickness <= 1.5 * thickness + 1;
}

/* The longest way from a line to the next one, as they lie by their boxes; `side` of none. */
static int widest_gap(const page_lines *page, const byte *chosen, int lying, int side)
{
    int widest = -1;
    for (int i = 0; i < page->count; i++) {
        int from, next = LONGEST_SIDE + 1;
        for (int k = 0; k < page->count; k++) {
            const box b = page->lines[k].upright ? turned(line_box(page->lines + k))
                                                 : line_box(page->lines + k);
            const int at = lying ? b.top : b.left;
            const box a = page->lines[i].upright ? turned(line_box(page->lines + i))
                                                 : line_box(page->lines + i);
            from = lying ? a.top : a.left;
            if (!chosen[i] || !chosen[k] || k == i || (width_of(a) >= height_of(a)) != lying
                || (width_of(b) >= height_of(b)) != lying)
                continue;
            if (at > from || (at == from && k > i))
                next = least(next, at - from);
        }
        if (next <= LONGEST_SIDE)
            widest = most(widest, next);
    }
    return widest < 0 ? side : widest;
}

/* The side of the largest cell between lines: its shorter one. */
static int cell_of(const page_lines *page, const byte *framing)
{
    return least(widest_gap(page, framing, 1, page->groups.height),
                 widest_gap(page, framing, 0, page->groups.width));
}

static uint16_t label_of(const straight *l, const plane *p, int along, int level)
{
    return l->upright ? p->at[(size_t)along * p->width + level]
                      : p->at[(size_t)level * p->width + along];
}

/* How long the first stretch of ink is beside a line, and how far away it begins. */
static int stretch(const straight *l, const plane *p, int step, int *away)
{
    const box b = line_box(l);
    const int stop = step < 0 ? -1 : l->upright ? p->width : p->height;
    int size = 0;
    *away = 0;
    for (int level = step < 0 ? b.top - 1 : b.bottom; level != stop; level += step) {
        int some = 0;
        for (int x = b.left; x < b.right && !some; x++)
            some = label_of(l, p, x, level) != 0;
        if (some)
            size++;
        else if (size)
            break;
        else
            ++*away;
    }
    return size;
}

/* Whether it is longer than what is written above or below it is high. */
static int is_under(const straight *l, const written *rest)
{
    int before, after;
    const int above = stretch(l, &rest->found.labels, -1, &before);
    const int below = stretch(l, &rest->found.labels, 1, &after);
    const int height = most(before, after) <= 2 ? above + below : most(above, below);
    return length_of(l) >= 1.4 * height;
}

/* Whether it is longer than a digit, and runs on at both ends of what touches it. */
static int is_apart(const straight *l, const written *rest)
{
    const plane *p = &rest->found.labels;
    const int start = l->part.left + l->start, end = l->part.left + l->end;
    const int reach = 2 + rounded_up(l->thickness), half = (int)(l->thickness / 2) + 1 + 2;
    const int across = l->upright ? p->height : p->width, deep = l->upright ? p->width : p->height;
    const double first = level_at_start(l), last = level_at_end(l);
    const double beyond = 0.12 * rest->height > 1 ? 0.12 * rest->height : 1;
    int low = -1, high = -1;
    if (!rest->height || length_of(l) < 1.4 * rest->height)
        return 0;
    for (int x = most(start - reach, 0); x < least(end + reach, across); x++) {
        const int row = rounded(first + (last - first) * ((x - start) / (double)most(1, end - start)));
        int some = 0;
        for (int y = -half; y <= half && !some; y++)
            some = label_of(l, p, x, bounded(row + y, 0, deep - 1)) != 0;
        if (some) {
            low = low < 0 ? x : low;
            high = x;
        }
    }
    return low < 0 || (start <= low - beyond && high + 1 + beyond <= end);
}

/* Of all lines those that nobody wrote. */
static void choose_lines(arena *room, page_lines *page, const parts *groups, byte *taken)
{
    byte *ruled = (byte *)claim(room, ALL_LINES), *framing = (byte *)claim(room, ALL_LINES);
    byte *group = (byte *)claim(room, ALL_LINES);
    written rest = {*groups, 0}; /* their list has served */
    int many = 0, upright = 1;
    rest.found.labels = claim_plane(room, page->groups.width, page->groups.height);
    if (room->full)
        return;
    fill(ruled, 0, ALL_LINES);
    fill(framing, 0, ALL_LINES);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < page->count; i++) {
            const int number = page->lines[i].number;
            if (i && page->lines[i - 1].number == number)
                continue;
            for (int k = 0; k < page->count; k++)
                group[k] = page->lines[k].number == number;
            if (pass)
                find_framing(page, group, ruled, framing);
            else
                find_ruled(page, group, ruled);
        }
    find_written(room, page, framing, &rest);
    if (rest.height < 0.25 * cell_of(page, framing))
        fill(framing, 0, ALL_LINES);
    for (int i = 0; i < page->count; i++) {
        taken[i] = framing[i] || ruled[i];
        upright &= !taken[i] || page->lines[i].upright;
    }
    find_written(room, page, taken, &rest);
    if (upright && 2.5 * rest.height > page->groups.height)
        fill(ruled, 0, ALL_LINES); /* the strokes of digits that fill the page */
    for (int i = 0; i < page->count; i++)
        many += ruled[i];
    for (int i = 0; i < page->count; i++) {
        const straight *l = page->lines + i;
        taken[i] = framing[i] || (ruled[i] && is_apart(l, &rest)
            && (many >= 3 || is_across(l, &page->groups) || is_under(l, &rest)));
    }
    for (int i = 0; i < page->count && !room->full; i++) {
        const straight *l = page->lines + i;
        if (l->upright || taken[i] || length_of(l) < SLENDER * l->thickness)
            continue;
        taken[i] = 1;
        find_written(room, page, taken, &rest);
        taken[i] = (byte)(is_under(l, &rest) && is_apart(l, &rest));
    }
}

/* The lines of each part that may hold some. */
static void find_groups(arena *room, page_lines *page, parts *groups)
{
    const int width = page->groups.width, height = page->groups.height, side = most(width, height);
    byte *mark = room->at;
    search with = {NULL, NULL, NULL, most(3, rounded(0.05 * side)), most(2, rounded(0.02 * side))};
    with.counts = (uint32_t *)claim(room, sizeof *with.counts * (2 * (size_t)side + 64));
    with.own = (byte *)claim(room, 2 * (size_t)side);
    with.runs = (run *)claim(room, sizeof *with.runs * ((size_t)width * height + width + height) / 2);
    for (int number = 1; number <= groups->count && !room->full; number++) {
        straight like = {box_of(groups->list + number - 1), number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        if (!may_be_lines(groups, number))
            continue;
        straight_lines(page, &like, &with);
        like.part = turned(like.part);
        like.upright = 1;
        straight_lines(page, &like, &with);
    }
    room->at = mark;
}

/* Finds the pixels that belong to lines and to no digit, as FOUND of `flags`; whether there are
   some. The dark parts and `spare` are used up. */
static int find_lines(arena *room, const inked *ink, parts *dark, plane spare, byte *flags)
{
    const int width = spare.width, height = spare.height;
    const size_t count = pixels_of(ink->shares);
    byte *mark = room->at, *taken = (byte *)claim(room, ALL_LINES), *owners = (byte *)spare.at;
    page_lines page = {flags, {owners, owners + count}, dark->labels, NULL, 0};
    int some = 0;
    page.lines = (straight *)claim(room, sizeof *page.lines * ALL_LINES);
    if (room->full)
        return 0;
    fill(owners, 0, 2 * count);
    fill(taken, 0, ALL_LINES);
    for (size_t i = 0; i < count; i++) {
        flags[i] = value_at(ink, i) > 48 ? MASK : 0;
        dark->labels.at[i] = flags[i];
    }
    grow_plane(dark->labels.at, width, height, MASK, 2); /* pale lines have gaps */
    if (!find_parts(room, dark))
        return 0;
    find_groups(room, &page, dark);
    if (!room->full && page.count)
        choose_lines(room, &page, dark, taken);
    if (room->full)
        return 0;
    for (size_t i = 0; i < count; i++)
        flags[i] &= MASK;
    for (int i = 0; i < page.count; i++)
        if (taken[i]) {
            draw_line(&page, i, FOUND, 0);
            /* Where lines cross, no pixel is that of one alone. */
            draw_band(&page, i, page.lines[i].upright ? UPRIGHT : ACROSS);
        }
    for (size_t i = 0; i < count; i++) {
        if (flags[i] == (MASK | ACROSS | UPRIGHT))
            flags[i] |= FOUND;
        some |= flags[i] & FOUND;
    }
    room->at = mark;
    return some != 0;
}

/* Leaves lines where they are as dark as the pen, if they are paler; takes the others out. */
static void without_lines(inked *ink, byte *flags, plane spare)
{
    uint32_t ours[256] = {0}, theirs[256] = {0};
    const size_t count = pixels_of(ink->shares);
    double pen = 0, pale = 0;
    int some = 0;
    grow_bytes(flags, ink->shares.width, ink->shares.height, FOUND, NEAR_LINE);
    for (size_t i = 0; i < count; i++)
        if (flags[i] & FOUND)
            theirs[ink->shares.at[i]]++;
        else if (value_at(ink, i) > INK && !(flags[i] & NEAR_LINE)) {
            ours[ink->shares.at[i]]++;
            some = 1;
        }
    if (some) {
        pale = percentile(theirs, 0.75);
        pen = percentile(ours, 0.5);
    }
    for (size_t i = 0; i < count; i++)
        spare.at[i] = flags[i] & FOUND
            && !(pen > pale + 24 && ink->shares.at[i] >= (pen + pale) / 2);
    take_out(ink, spare);
}
#endif
