/* os: where a loaded ELF program or library has the addresses of the functions that it calls in
 * others, and how one is replaced.
 *
 * The loader keeps such an address in a word for each function (in .got or .got.plt), which a
 * relocation tells.  Those of one module are looked through, so no other module's calls change.
 * A word that leads into the module itself stays: it goes by way of another one (where a program's
 * PLT entry stands for the function), or is bound by the first call, which would write over ours.
 * After the start the loader may have made the word read only (RELRO); it becomes so again.  These
 * calls of the system are not counted.
 * Lock: none of its own; callers take turns, since they change the same pages' protection. */
#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"

#if defined __x86_64__
#define IS_FUNCTION(type) ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#elif defined __aarch64__
#define IS_FUNCTION(type) ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#else
#define IS_FUNCTION(type) false
#endif

/* A loaded module; tables are NULL or empty where it has none. */
struct module {
    ElfW(Addr) base;
    const ElfW(Sym) *symbols;
    const char *strings;
    const ElfW(Rela) *rela[2]; /* of data, of calls */
    size_t nrela[2];
    ElfW(Addr) relro, relro_end; /* what is read only after the start: whole pages at its end */
};

struct search {
    uintptr_t code; /* of the module that is meant */
    struct os_call *call;
    bool failed;
};

static bool contains(const struct dl_phdr_info *info, uintptr_t addr) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_LOAD && addr - (info->dlpi_addr + ph->p_vaddr) < ph->p_memsz)
            return true;
    }
    return false;
}

/* What a dynamic entry points to: glibc has added the base already, musl has not. */
static const void *at(const struct module *m, ElfW(Addr) addr) {
    return (const void *)(addr < m->base ? addr + m->base : addr);
}

static void read_dynamic(struct module *m, const ElfW(Dyn) *dyn) {
    for (; dyn->d_tag != DT_NULL; dyn++) {
        switch (dyn->d_tag) {
        case DT_SYMTAB: m->symbols = at(m, dyn->d_un.d_ptr); break;
        case DT_STRTAB: m->strings = at(m, dyn->d_un.d_ptr); break;
        case DT_RELA: m->rela[0] = at(m, dyn->d_un.d_ptr); break;
        case DT_RELASZ: m->nrela[0] = dyn->d_un.d_val / sizeof(ElfW(Rela)); break;
        case DT_JMPREL: m->rela[1] = at(m, dyn->d_un.d_ptr); break;
        case DT_PLTRELSZ: m->nrela[1] = dyn->d_un.d_val / sizeof(ElfW(Rela)); break;
        default: break;
        }
    }
}

static void read_module(struct module *m, const struct dl_phdr_info *info) {
    *m = (struct module){.base = info->dlpi_addr};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        ElfW(Addr) begin = info->dlpi_addr + ph->p_vaddr;
        if (ph->p_type == PT_DYNAMIC)
            read_dynamic(m, (const ElfW(Dyn) *)begin);
        if (ph->p_type == PT_GNU_RELRO)
            m->relro = begin, m->relro_end = ga_align_down(begin + ph->p_memsz, os_page_size());
    }
}

static bool write_word(const struct module *m, _Atomic uintptr_t *word, uintptr_t value) {
    uintptr_t addr = (uintptr_t)word, page = ga_align_down(addr, os_page_size());
    bool read_only = addr - m->relro < m->relro_end - m->relro;
    if (read_only && mprotect((void *)page, os_page_size(), PROT_READ | PROT_WRITE) != 0)
        return false;
    atomic_store(word, value);
    if (read_only) /* if it fails the word is as right as before, and less safe */
        (void)mprotect((void *)page, os_page_size(), PROT_READ);
    return true;
}

static void redirect_relocation(const struct dl_phdr_info *info, const struct module *m,
                                const ElfW(Rela) *r, struct search *look) {
    struct os_call *call = look->call;
    if (!IS_FUNCTION(ELF64_R_TYPE(r->r_info)))
        return;
    const ElfW(Sym) *symbol = &m->symbols[ELF64_R_SYM(r->r_info)];
    if (strcmp(m->strings + symbol->st_name, call->name) != 0)
        return;
    _Atomic uintptr_t *word = (_Atomic uintptr_t *)(m->base + r->r_offset);
    uintptr_t now = atomic_load(word), none = 0;
    if (now != call->to) {
        if (contains(info, now))
            return;
        atomic_compare_exchange_strong(&call->was, &none, now); /* before it can be needed */
        look->failed |= !write_word(m, word, call->to);
    }
    if (call->nwords < OS_CALL_WORDS)
        call->words[call->nwords++] = word;
    else
        look->failed = true;
}

static int redirect_module(struct dl_phdr_info *info, size_t size, void *search) {
    (void)size;
    struct search *look = search;
    if (!contains(info, look->code))
        return 0;
    struct module m;
    read_module(&m, info);
    for (int table = 0; table < 2; table++)
        for (size_t i = 0; m.symbols != NULL && m.strings != NULL && i < m.nrela[table]; i++)
            redirect_relocation(info, &m, &m.rela[table][i], look);
    return 1; /* no further */
}

bool os_is_redirected(const struct os_call *call) {
    unsigned n = call->nwords;
    for (unsigned i = 0; i < n; i++)
        if (atomic_load(call->words[i]) != call->to)
            return false;
    return n != 0;
}

bool os_redirect(uintptr_t code, struct os_call *call) {
    struct search look = {code, call, false};
    call->nwords = 0;
    dl_iterate_phdr(redirect_module, &look);
    return call->nwords != 0 && !look.failed;
}
