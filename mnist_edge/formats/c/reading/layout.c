/* ---- Which parts make up one digit (layout.py) ----------------------------------------------- */

enum { MOST_DIGITS = 200, DUST = 255 };

typedef struct { box around; uint32_t area; int members, alive, link; } digit;

/* The digits of a page: `owner` tells for each part which one it is of; `rank` from the smallest. */
typedef struct { digit list[MOST_DIGITS]; byte rank[MOST_DIGITS]; byte *owner; int count; } digits;

static int is_wide(box b) { return width_of(b) > 1.1 * height_of(b); }

static int typical_digit(const digits *all)
{
    part list[MOST_DIGITS];
    int count = 0;
    for (int i = 0; i < all->count; i++)
        if (all->list[i].alive) {
            const part one = {0, 0, 0, (uint16_t)height_of(all->list[i].around), all->list[i].area};
            list[count++] = one;
        }
    return typical_height(list, count, NULL);
}

static void join(digits *all, int large, int small, int parts)
{
    digit *into = all->list + large, *from = all->list + small;
    into->around = both(into->around, from->around);
    into->area += from->area;
    into->members += from->members;
    from->alive = 0;
    for (int i = 0; i < parts; i++)
        if (all->owner[i] == small)
            all->owner[i] = (byte)large;
}

/* Each of the larger parts by itself, the largest first. */
static void single_parts(const parts *dark, digits *all)
{
    uint16_t order[MOST_DIGITS];
    all->count = 0;
    for (int i = 0; i < dark->count; i++) {
        const uint32_t area = dark->list[i].area;
        int at = all->count;
        all->owner[i] = DUST;
        if (at == MOST_DIGITS && dark->list[order[at - 1]].area >= area)
            continue;
        if (at < MOST_DIGITS)
            all->count++;
        else
            at--;
        for (; at && dark->list[order[at - 1]].area < area; at--)
            order[at] = order[at - 1];
        order[at] = (uint16_t)i;
    }
    for (int k = 0; k < all->count; k++) {
        const part *p = dark->list + order[k];
        const digit one = {box_of(p), p->area, 1, 1, 0};
        all->list[k] = one;
        all->owner[order[k]] = (byte)k;
    }
}

static int can_be_one(box large, box small, int typical, int many)
{
    const box whole = both(large, small);
    const int across = least(large.right, small.right) - most(large.left, small.left);
    const int down = least(large.bottom, small.bottom) - most(large.top, small.top);
    const int overlap = across > 0.4 * least(width_of(large), width_of(small));
    if (most(most(-across, -down), 0) > 0.25 * longer_side(large))
        return 0;
    if (overlap && down > 0)
        return 1;
    if (!many)
        return overlap || least(height_of(large), height_of(small)) < 0.85 * height_of(whole);
    if (height_of(small) < 0.5 * typical)
        return 1;
    return overlap && -down <= 0.12 * height_of(whole) && height_of(whole) <= 1.2 * typical;
}

/* How much ink of each digit is within reach of one. */
static void count_around(const plane *p, const digits *all, int own, int gap, uint32_t *counts)
{
    const box b = all->list[own].around;
    const int reach = (int)(0.6 * longer_side(b)) + gap + 1;
    fill(counts, 0, sizeof *counts * MOST_DIGITS);
    for (int y = most(b.top - reach, 0); y < least(b.bottom + reach, p->height); y++)
        for (int x = most(b.left - reach, 0); x < least(b.right + reach, p->width); x++) {
            const int label = p->at[(size_t)y * p->width + x];
            const int owner = label ? all->owner[label - 1] : DUST;
            if (owner != DUST && owner != own)
                counts[owner]++;
        }
}

/* The smallest first, each to the larger one that is nearest, where the two can be one. */
static void join_near(const parts *dark, digits *all, int gap, int many)
{
    const int typical = typical_digit(all);
    uint32_t counts[MOST_DIGITS];
    int ranked = 0;
    for (int i = 0; i < all->count; i++) {
        int at = ranked;
        if (!all->list[i].alive)
            continue;
        for (ranked++; at && longer_side(all->list[all->rank[at - 1]].around)
                 > longer_side(all->list[i].around); at--)
            all->rank[at] = all->rank[at - 1];
        all->rank[at] = (byte)i;
    }
    for (int turn = 0; turn + 1 < ranked; turn++) {
        const int small = all->rank[turn];
        const box b = all->list[small].around;
        count_around(&dark->labels, all, small, gap, counts);
        for (;;) {
            int other = -1;
            for (int k = 0; k < ranked; k++) /* of as much ink the smaller */
                if (counts[all->rank[k]] && (other < 0 || counts[all->rank[k]] > counts[other]))
                    other = all->rank[k];
            if (other < 0)
                break;
            counts[other] = 0;
            if (longer_side(all->list[other].around) >= longer_side(b)
                && can_be_one(all->list[other].around, b, typical, many)) {
                join(all, other, small, dark->count);
                break;
            }
        }
    }
}

static int is_any_wide(const digits *all)
{
    for (int i = 0; i < all->count; i++)
        if (all->list[i].alive && is_wide(all->list[i].around))
            return 1;
    return 0;
}

static int alive_of(const digits *all)
{
    int count = 0;
    for (int i = 0; i < all->count; i++)
        count += all->list[i].alive;
    return count;
}

static void leave_dust(digits *all)
{
    const int typical = typical_digit(all);
    int tall = 0;
    uint32_t area = 0;
    for (int i = 0; i < all->count; i++)
        tall += all->list[i].alive && height_of(all->list[i].around) >= 0.5 * typical;
    for (int i = 0; i < all->count; i++) { /* the middle one by area of the tall ones */
        int smaller = 0, alike = 0;
        if (!all->list[i].alive || height_of(all->list[i].around) < 0.5 * typical)
            continue;
        for (int k = 0; k < all->count; k++)
            if (all->list[k].alive && height_of(all->list[k].around) >= 0.5 * typical) {
                smaller += all->list[k].area < all->list[i].area;
                alike += all->list[k].area == all->list[i].area;
            }
        if (smaller <= tall / 2 && tall / 2 < smaller + alike)
            area = all->list[i].area;
    }
    for (int i = 0; i < all->count; i++)
        if (height_of(all->list[i].around) < 0.3 * typical || all->list[i].area < 0.03 * area)
            all->list[i].alive = 0;
}

/* Puts the parts into digits, what is left out is dust; 0 where all is. `links`: see find_faint. */
static int group_digits(
    arena *room, const parts *dark, const uint16_t *links, int gap, digits *all)
{
    byte *mark = room->at;
    digits *before = (digits *)claim(room, sizeof *before);
    byte *owner = (byte *)claim(room, (size_t)dark->count);
    uint64_t area = 0, kept = 0;
    int members = 0;
    if (room->full)
        return 0;
    single_parts(dark, all);
    if (links)
        for (int i = 0; i < dark->count; i++)
            if (all->owner[i] != DUST)
                all->list[all->owner[i]].link = links[i];
    for (int i = 0; i < all->count; i++)
        for (int k = i + 1; k < all->count && all->list[i].link && all->list[i].alive; k++)
            if (all->list[k].alive && all->list[k].link == all->list[i].link)
                join(all, i, k, dark->count);
    if (alive_of(all) > 1) {
        *before = *all;
        carry(owner, all->owner, (size_t)dark->count);
        join_near(dark, all, gap, 0);
        if (is_any_wide(all)) {
            byte *own = all->owner;
            *all = *before;
            all->owner = own;
            carry(own, owner, (size_t)dark->count);
            join_near(dark, all, gap, 1);
        }
    }
    room->at = mark;
    if (alive_of(all) > 1)
        leave_dust(all);
    for (int i = 0; i < dark->count; i++)
        area += dark->list[i].area;
    for (int i = 0; i < all->count; i++)
        if (all->list[i].alive) {
            kept += all->list[i].area;
            members += all->list[i].members;
        }
    return !(dark->count - members > 30 && area - kept > 0.25 * area);
}
