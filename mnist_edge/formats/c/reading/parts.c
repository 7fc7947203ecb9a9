/* ---- Connected parts (components.py) --------------------------------------------------------- */

typedef struct { uint16_t left, top, right, bottom; uint32_t area; } part;

/* Of each pixel the number of its part, from 1; 0 is paper. */
typedef struct { uint16_t *at; int width, height; } plane;

/* `list` counts from 0; more than there is room for are grain, and no digits. */
typedef struct { plane labels; part *list; int count, most; } parts;

static size_t most_parts(size_t pixels) { return pixels / 16 + 256; }

static box box_of(const part *p)
{
    const box found = {p->left, p->top, p->right, p->bottom};
    return found;
}

static plane claim_plane(arena *room, int width, int height)
{
    const plane made = {(uint16_t *)claim(room, 2 * (size_t)width * height), width, height};
    return made;
}

static int root_of(uint16_t *up, int i)
{
    while (up[i] != i)
        i = up[i] = up[up[i]];
    return i;
}

/* Numbers what is not 0, in the order of the topmost pixels; how many there are, -1: too many. */
static int number_parts(arena *room, plane p)
{
    const size_t count = (size_t)p.width * p.height;
    const int limit = least((int)((count + p.width + p.height) / 4) + 2, 65535);
    byte *mark = room->at;
    uint16_t *up = (uint16_t *)claim(room, 2 * (size_t)limit);
    int next = 1, found = 0;
    if (room->full)
        return -1;
    up[0] = 0;
    for (int y = 0; y < p.height; y++)
        for (int x = 0; x < p.width; x++) {
            uint16_t *at = p.at + (size_t)y * p.width + x;
            int root = 0;
            if (!*at)
                continue;
            for (int k = 0; k < 4; k++) { /* left, and the three above */
                const int across = x + (k ? k - 2 : -1);
                const uint16_t *beside = k ? at - p.width + (k - 2) : at - 1;
                int other;
                if (across < 0 || across >= p.width || (k && !y) || !*beside)
                    continue;
                other = root_of(up, *beside);
                if (root && other != root)
                    up[most(other, root)] = (uint16_t)least(other, root);
                root = root ? least(root, other) : other;
            }
            if (!root) {
                if (next == limit)
                    return -1;
                up[next] = (uint16_t)next;
                root = next++;
            }
            *at = (uint16_t)root;
        }
    /* A root is smaller than what hangs on it, so one way up numbers them all. */
    for (int i = 1; i < next; i++)
        up[i] = (uint16_t)(up[i] == i ? ++found : up[up[i]]);
    for (size_t i = 0; i < count; i++)
        p.at[i] = up[p.at[i]];
    room->at = mark;
    return found;
}

/* The parts of what is not 0 in `found->labels`; 0 where they are too many. */
static int find_parts(arena *room, parts *found)
{
    const plane p = found->labels;
    const uint16_t *at = p.at;
    const part none = {65535, 65535, 0, 0, 0};
    found->count = number_parts(room, p);
    if (found->count < 0 || found->count > found->most) {
        found->count = 0;
        return 0;
    }
    for (int i = 0; i < found->count; i++)
        found->list[i] = none;
    for (int y = 0; y < p.height; y++)
        for (int x = 0; x < p.width; x++, at++)
            if (*at) {
                part *own = found->list + *at - 1;
                own->left = (uint16_t)least(own->left, x);
                own->top = (uint16_t)least(own->top, y);
                own->right = (uint16_t)most(own->right, x + 1);
                own->bottom = (uint16_t)(y + 1);
                own->area++;
            }
    return 1;
}

/* Sets bit `to` where the pixel or one that touches it has bit `from`. */
#define GROWN(name, kind) \
    static void name(kind *at, int width, int height, int from, int to) \
    { \
        for (int y = 0; y < height; y++) \
            for (int x = 0; x < width; x++) \
                if (at[(size_t)y * width + x] & from) \
                    for (int j = most(y - 1, 0); j <= least(y + 1, height - 1); j++) \
                        for (int i = most(x - 1, 0); i <= least(x + 1, width - 1); i++) { \
                            kind *near = at + (size_t)j * width + i; \
                            *near = (kind)(*near | to); \
                        } \
    }
GROWN(grow_plane, uint16_t)
GROWN(grow_bytes, byte)

static int is_fine(const inked *ink) { return most(ink->shares.width, ink->shares.height) > 100; }

/* The parts of the dark ink: a line thinner than a pixel comes and goes, and is grown to be one. */
static int find_dark(arena *room, const inked *ink, parts *dark)
{
    const plane p = dark->labels;
    for (size_t i = 0; i < pixels_of(ink->shares); i++)
        p.at[i] = value_at(ink, i) > INK;
    if (is_fine(ink))
        grow_plane(p.at, p.width, p.height, 1, 2);
    return find_parts(room, dark);
}

/* Takes pixels with bit 1 out of the ink, and their soft rim; uses bit 2. */
static void take_out(inked *ink, plane p)
{
    grow_plane(p.at, p.width, p.height, 1, 2);
    for (size_t i = 0; i < pixels_of(ink->shares); i++)
        if (p.at[i] & 1 || (p.at[i] & 2 && value_at(ink, i) <= INK))
            ink->shares.at[i] = 0;
}

/* The height of which half of the ink is higher: dust has no say. `chosen`: 0 for all. */
static int typical_height(const part *list, int count, const byte *chosen)
{
    uint64_t all = 0;
    int low = 0, high = LONGEST_SIDE;
    for (int i = 0; i < count; i++)
        all += !chosen || chosen[i] ? list[i].area : 0;
    while (low + 1 < high) {
        const int middle = (low + high) / 2;
        uint64_t lower = 0;
        for (int i = 0; i < count; i++)
            if ((!chosen || chosen[i]) && list[i].bottom - list[i].top <= middle)
                lower += list[i].area;
        if (2 * lower >= all)
            high = middle;
        else
            low = middle;
    }
    return high;
}

/* ---- What the picture's border cuts (border.py) ---------------------------------------------- */

/* How many pixels of a part lie at the upper, lower, left and right border. */
static void contacts_of(const plane *p, int number, int *contacts)
{
    const uint16_t *last = p->at + (size_t)(p->height - 1) * p->width;
    for (int i = 0; i < 4; i++)
        contacts[i] = 0;
    for (int x = 0; x < p->width; x++) {
        contacts[0] += p->at[x] == number;
        contacts[1] += last[x] == number;
    }
    for (int y = 0; y < p->height; y++) {
        contacts[2] += p->at[(size_t)y * p->width] == number;
        contacts[3] += p->at[(size_t)y * p->width + p->width - 1] == number;
    }
}

/* Whether a part lies along one side, and is thin. */
static int is_strip(box b, const int *contacts, const plane *p, int alone)
{
    const int width = width_of(b), height = height_of(b);
    const int lying = most(contacts[0], contacts[1]) >= 0.6 * width && height <= 0.2 * p->height
        && (!alone || width >= 0.9 * p->width);
    const int standing = most(contacts[2], contacts[3]) >= 0.6 * height && width <= 0.2 * p->width
        && (!alone || height >= 0.9 * p->height);
    return (lying && width > height) || (standing && height > width);
}

static int gap_of(box a, box b)
{
    return most(most(a.left, b.left) - least(a.right, b.right),
                most(a.top, b.top) - least(a.bottom, b.bottom));
}

static int is_cut(const parts *all, const byte *whole, int typical, box b, const int *contacts)
{
    int nearest = LONGEST_SIDE, above = LONGEST_SIDE, below = LONGEST_SIDE;
    if (longer_side(b) > 2.0 * typical)
        return 0;
    for (int i = 0; i < all->count; i++)
        if (whole[i]) {
            nearest = least(nearest, gap_of(b, box_of(all->list + i)));
            above = least(above, all->list[i].top);
            below = least(below, all->labels.height - all->list[i].bottom);
        }
    if (nearest < 0.12 * typical)
        return 0;
    above = above > 0.25 * typical;
    below = below > 0.25 * typical;
    return (contacts[0] && above) || (contacts[1] && below)
        || ((contacts[2] || contacts[3]) && (above || below));
}

static int touches_border(box b, const plane *p)
{
    return !b.left || !b.top || b.right == p->width || b.bottom == p->height;
}

/* Of each part, whether it is cut by the border, and so is no digit; how many are. */
static int find_cut(arena *room, const parts *all, byte *cut)
{
    const plane *p = &all->labels;
    const double side = most(p->width, p->height);
    byte *mark = room->at, *whole = (byte *)claim(room, (size_t)all->count);
    int largest = 0, some = 0, count = 0, typical;
    if (room->full)
        return 0;
    fill(cut, 0, (size_t)all->count);
    if (all->count == 1) {
        const box b = box_of(all->list);
        if (height_of(b) > 0.2 * p->height && width_of(b) > 0.2 * p->width)
            return 0;
    }
    for (int i = 0; i < all->count; i++) {
        const box b = box_of(all->list + i);
        whole[i] = !touches_border(b, p) && longer_side(b) >= (0.04 * side > 6 ? 0.04 * side : 6);
        some |= whole[i];
        largest = whole[i] ? most(largest, longer_side(b)) : largest;
    }
    typical = some ? typical_height(all->list, all->count, whole) : 0;
    for (int i = 0; i < all->count; i++) {
        const box b = box_of(all->list + i);
        int contacts[4], sum, longest;
        if (!touches_border(b, p))
            continue;
        contacts_of(p, i + 1, contacts);
        sum = contacts[0] + contacts[1] + contacts[2] + contacts[3];
        longest = most(most(contacts[0], contacts[1]), most(contacts[2], contacts[3]));
        cut[i] = (byte)is_strip(b, contacts, p, !some);
        if (!cut[i] && some) {
            const int solid = all->list[i].area > 0.6 * width_of(b) * height_of(b);
            const int along = sum > 0.25 * (2 * (p->width + p->height) - 4);
            cut[i] = (byte)((along && largest > 0.2 * side)
                || (solid && longest > 0.6 * longer_side(b))
                || is_cut(all, whole, typical, b, contacts));
        }
        count += cut[i];
    }
    room->at = mark;
    return count == all->count && some ? 0 : count;
}

/* Takes what the border cuts out of the ink; how many parts that were, -1: there are too many. */
static int leave_inside(arena *room, inked *ink, parts *dark)
{
    const size_t count = pixels_of(ink->shares);
    byte *mark = room->at, *cut;
    int found = 0;
    if (!find_dark(room, ink, dark))
        return -1;
    cut = (byte *)claim(room, (size_t)dark->count);
    if (!room->full)
        found = find_cut(room, dark, cut);
    if (room->full)
        return -1;
    if (found) {
        for (size_t i = 0; i < count; i++) {
            const int number = dark->labels.at[i];
            dark->labels.at[i] = number && cut[number - 1];
        }
        take_out(ink, dark->labels);
        if (!find_dark(room, ink, dark))
            found = -1;
    }
    room->at = mark;
    return found;
}

/* How often ink runs over the border: grain does all along it. */
static int crossings(const plane *p)
{
    const uint16_t *last = p->at + (size_t)(p->height - 1) * p->width;
    int count = 0;
    for (int x = 1; x < p->width; x++)
        count += (p->at[x] && !p->at[x - 1]) + (last[x] && !last[x - 1]);
    for (int y = 1; y < p->height; y++) {
        const uint16_t *left = p->at + (size_t)y * p->width, *right = left + p->width - 1;
        count += (*left && !left[-p->width]) + (*right && !right[-p->width]);
    }
    return count;
}
