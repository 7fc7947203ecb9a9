#ifndef READ_NO_FAINT
/* ---- Ink fainter than most (faint.py) -------------------------------------------------------- */

/* Whether there is much faint ink that is not the soft rim of the dark. `spare` is used up. */
static int fades(arena *room, const inked *ink, plane spare)
{
    const int width = spare.width, height = spare.height;
    const int rim = 1 + most(width, height) / 50 + is_fine(ink);
    byte *mark = room->at;
    int *last = (int *)claim(room, sizeof *last * width);
    size_t far = 0, dark = 0;
    if (room->full)
        return 0;
    for (int y = 0; y < height; y++) { /* 1: near dark ink of its row */
        const byte *shares = ink->shares.at + (size_t)y * width;
        uint16_t *out = spare.at + (size_t)y * width;
        int before = -rim - 1;
        for (int x = 0; x < width; x++) {
            const int is_dark = ink->values[shares[x]] > INK;
            before = is_dark ? x : before;
            dark += (size_t)is_dark;
            out[x] = x - before <= rim;
        }
        before = width + rim;
        for (int x = width - 1; x >= 0; x--) {
            before = ink->values[shares[x]] > INK ? x : before;
            out[x] |= before - x <= rim;
        }
    }
    for (int pass = 0; pass < 2; pass++) { /* 2: near dark ink of any row */
        for (int x = 0; x < width; x++)
            last[x] = -rim - 1;
        for (int i = 0; i < height; i++) {
            uint16_t *out = spare.at + (size_t)(pass ? height - 1 - i : i) * width;
            for (int x = 0; x < width; x++) {
                last[x] = out[x] & 1 ? i : last[x];
                out[x] |= i - last[x] <= rim ? 2 : 0;
            }
        }
    }
    for (size_t i = 0; i < pixels_of(ink->shares); i++)
        far += ink->shares.at[i] > ink->faint && !spare.at[i];
    room->at = mark;
    return (double)far > 0.04 * (double)dark;
}

/* The parts of all ink: of each dark one in `links` the number of what holds it, 0 where that is a
   shadow or hardly more than the dark part itself. 0: there are too many. */
static int find_faint(
    arena *room, const inked *ink, const parts *dark, int much, plane all, uint16_t *links)
{
    const size_t count = pixels_of(ink->shares);
    const part none = {65535, 65535, 0, 0, 0};
    part *wholes;
    uint16_t *first;
    int found;
    for (size_t i = 0; i < count; i++)
        all.at[i] = ink->shares.at[i] > ink->faint || dark->labels.at[i];
    found = number_parts(room, all);
    if (found < 0)
        return 0;
    byte *mark = room->at;
    first = (uint16_t *)claim(room, 2 * ((size_t)found + 1)); /* dark part of each, from 1 */
    wholes = (part *)claim(room, sizeof *wholes * dark->count);
    if (room->full)
        return 0;
    fill(first, 0, 2 * ((size_t)found + 1));
    for (size_t i = 0; i < count; i++)
        if (dark->labels.at[i])
            links[dark->labels.at[i] - 1] = all.at[i];
    for (int i = dark->count - 1; i >= 0; i--) {
        first[links[i]] = (uint16_t)(i + 1);
        wholes[i] = none;
    }
    for (int y = 0; y < all.height; y++)
        for (int x = 0; x < all.width; x++) {
            const int owner = first[all.at[(size_t)y * all.width + x]];
            if (owner) {
                part *whole = wholes + owner - 1;
                whole->left = (uint16_t)least(whole->left, x);
                whole->top = (uint16_t)least(whole->top, y);
                whole->right = (uint16_t)most(whole->right, x + 1);
                whole->bottom = (uint16_t)(y + 1);
            }
        }
    for (int i = 0; i < dark->count; i++) {
        const int number = links[i];
        const box whole = box_of(wholes + i);
        box core = box_of(dark->list + i);
        int held = 1;
        if (!number || first[number] != i + 1)
            continue;
        for (int k = i + 1; k < dark->count; k++)
            if (links[k] == number) {
                core = both(core, box_of(dark->list + k));
                held++;
            }
        if ((much || held > 1)
            && most(width_of(whole) - width_of(core), height_of(whole) - height_of(core))
                <= 0.4 * longer_side(core) + 2)
            continue;
        for (int k = i; k < dark->count; k++)
            links[k] = links[k] == number ? 0 : links[k];
    }
    room->at = mark;
    return 1;
}

/* Makes the faint stretches of one digit as dark as the rest. */
static void even_out(arena *room, const inked *ink, grey digit)
{
    const int reach = most(2, most(digit.width, digit.height) / 40);
    byte *mark = room->at;
    const grey rows = claim_grey(room, digit.width, digit.height);
    const grey around = claim_grey(room, digit.width, digit.height);
    if (room->full)
        return;
    for (int pass = 0; pass < 2; pass++) {
        const byte *in = pass ? rows.at : digit.at;
        byte *out = pass ? around.at : rows.at;
        const size_t step = pass ? digit.width : 1, next = pass ? 1 : digit.width;
        const int length = pass ? digit.height : digit.width;
        for (int line = 0; line < (pass ? digit.width : digit.height); line++)
            for (int i = 0; i < length; i++) {
                int value = 0;
                for (int k = most(i - reach, 0); k <= least(i + reach, length - 1); k++)
                    value = most(value, in[line * next + k * step]);
                out[line * next + i * step] = (byte)value;
            }
    }
    for (size_t i = 0; i < pixels_of(digit); i++) {
        const float full = (float)bounded(around.at[i], ink->faint, ink->top), low = full * 0.25f;
        const float value = (digit.at[i] - low) * (255.0f / (full - low));
        digit.at[i] = (byte)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
    room->at = mark;
}
#endif
