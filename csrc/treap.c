/* The treap of free page runs.
 *
 * Invariants (treap_check walks them): keys rise strictly from left to right; no node has a smaller
 * priority than its parent; a child's parent link leads back; nspans and npages count the nodes.
 * A random priority for each node keeps the expected depth logarithmic whatever the order in which
 * runs are freed, and no node has to remember a balance.
 * Lock: mheap.lock, held by the caller. */
#include "treap.h"

#include "fatal.h"

void treap_init(struct treap *t, uint64_t seed) {
    *t = (struct treap){.root = NULL};
    rng_seed(&t->rng, seed);
}

/* Negative, zero or positive as a sorts before, at or behind b. */
static int order_of(struct treap_key a, struct treap_key b) {
    if (a.npages != b.npages)
        return a.npages < b.npages ? -1 : 1;
    if (a.scavenged != b.scavenged)
        return a.scavenged < b.scavenged ? -1 : 1;
    return (a.addr > b.addr) - (a.addr < b.addr);
}

static int key_cmp(const struct mspan *a, const struct mspan *b) {
    return order_of(treap_key_of(a), treap_key_of(b));
}

/* The link that leads to s. */
static struct mspan **link_to(struct treap *t, struct mspan *s) {
    struct mspan *parent = s->treap_parent;
    if (parent == NULL)
        return &t->root;
    return parent->treap_left == s ? &parent->treap_left : &parent->treap_right;
}

/* Swaps s with its parent, key order kept. */
static void rotate_up(struct treap *t, struct mspan *s) {
    struct mspan *parent = s->treap_parent, *inner;
    *link_to(t, parent) = s;
    if (parent->treap_left == s) {
        inner = s->treap_right;
        parent->treap_left = inner;
        s->treap_right = parent;
    } else {
        inner = s->treap_left;
        parent->treap_right = inner;
        s->treap_left = parent;
    }
    if (inner != NULL)
        inner->treap_parent = parent;
    s->treap_parent = parent->treap_parent;
    parent->treap_parent = s;
}

void treap_insert(struct treap *t, struct mspan *s) {
    struct mspan **link = &t->root, *parent = NULL;
    while (*link != NULL) {
        int order = key_cmp(s, *link);
        if (GA_UNLIKELY(order == 0))
            ga_throw("treap_insert: span %p of %zu pages at %p is already in", (void *)s,
                     (size_t)s->npages, (void *)s->start_addr);
        parent = *link;
        link = order < 0 ? &parent->treap_left : &parent->treap_right;
    }
    *link = s;
    s->treap_left = s->treap_right = NULL;
    s->treap_parent = parent;
    s->treap_priority = rng_next(&t->rng);
    while (s->treap_parent != NULL && s->treap_parent->treap_priority > s->treap_priority)
        rotate_up(t, s);
    t->nspans++;
    t->npages += s->npages;
}

void treap_remove(struct treap *t, struct mspan *s) {
    if (GA_UNLIKELY(*link_to(t, s) != s)) /* of one that is not in, the links are NULL */
        ga_throw("treap_remove: span %p of %zu pages at %p is not in", (void *)s,
                 (size_t)s->npages, (void *)s->start_addr);
    while (s->treap_left != NULL && s->treap_right != NULL) {
        bool left = s->treap_left->treap_priority < s->treap_right->treap_priority;
        rotate_up(t, left ? s->treap_left : s->treap_right);
    }
    struct mspan *child = s->treap_left != NULL ? s->treap_left : s->treap_right;
    *link_to(t, s) = child;
    if (child != NULL)
        child->treap_parent = s->treap_parent;
    s->treap_left = s->treap_right = s->treap_parent = NULL;
    s->treap_priority = 0;
    t->nspans--;
    t->npages -= s->npages;
}

struct mspan *treap_find(const struct treap *t, size_t npages) {
    struct mspan *best = NULL, *node = t->root;
    while (node != NULL) {
        if (node->npages >= npages) {
            best = node; /* only something further left is better */
            node = node->treap_left;
        } else {
            node = node->treap_right;
        }
    }
    return best;
}

static struct mspan *leftmost(struct mspan *s) {
    while (s != NULL && s->treap_left != NULL)
        s = s->treap_left;
    return s;
}

static struct mspan *rightmost(struct mspan *s) {
    while (s != NULL && s->treap_right != NULL)
        s = s->treap_right;
    return s;
}

struct mspan *treap_first(const struct treap *t) { return leftmost(t->root); }

struct mspan *treap_last(const struct treap *t, struct treap_key upto) {
    struct mspan *best = NULL, *node = t->root;
    while (node != NULL) {
        if (order_of(treap_key_of(node), upto) <= 0) {
            best = node; /* only something further right is better */
            node = node->treap_right;
        } else {
            node = node->treap_left;
        }
    }
    return best;
}

struct mspan *treap_next(const struct mspan *s) {
    if (s->treap_right != NULL)
        return leftmost(s->treap_right);
    while (s->treap_parent != NULL && s->treap_parent->treap_right == s)
        s = s->treap_parent;
    return s->treap_parent;
}

struct mspan *treap_prev(const struct mspan *s) {
    if (s->treap_left != NULL)
        return rightmost(s->treap_left);
    while (s->treap_parent != NULL && s->treap_parent->treap_left == s)
        s = s->treap_parent;
    return s->treap_parent;
}

static void check_child(const struct mspan *s, const struct mspan *child) {
    if (child == NULL)
        return;
    GA_CHECK(child->treap_parent == s);
    GA_CHECK(child->treap_priority >= s->treap_priority);
}

void treap_check(const struct treap *t) {
    const struct mspan *before = NULL;
    size_t nspans = 0;
    uint64_t npages = 0;
    GA_CHECK(t->root == NULL || t->root->treap_parent == NULL);
    for (const struct mspan *s = treap_first(t); s != NULL; s = treap_next(s)) {
        GA_CHECK(before == NULL || key_cmp(before, s) < 0);
        check_child(s, s->treap_left);
        check_child(s, s->treap_right);
        nspans++;
        npages += s->npages;
        GA_CHECK(nspans <= t->nspans); /* also ends the walk of a broken tree */
        before = s;
    }
    GA_CHECK(nspans == t->nspans);
    GA_CHECK(npages == t->npages);
}
