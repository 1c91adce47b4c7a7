// pairs PATTERN SIZE PAIRS SLICES [pointers]: the loops of pairs.c, as Go has them.
//
// A pair is an object made and an object dropped; the garbage collector, which runs when the
// settings of the process make it, does what free does there.  What is made is written to, and
// escapes through a global variable or a slice.  Objects are bytes, which the collector need not
// look into, or with `pointers` words that it has to.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	batchLen = 1000
	liveLen  = 100000
)

var sink unsafe.Pointer

type loop struct {
	blocks []unsafe.Pointer
	rng    uint64
}

// The same numbers as bench.h has.
func (l *loop) randomBelow(bound uint64) uint64 {
	l.rng = l.rng*6364136223846793005 + 1442695040888963407
	return (l.rng >> 32) * bound >> 32
}

func block[T any]() unsafe.Pointer {
	p := unsafe.Pointer(new(T))
	*(*byte)(p) = 0 // written to, yet no pointer
	return p
}

func churn[T any](l *loop, npairs int) {
	for i := 0; i < npairs; i++ {
		sink = block[T]()
	}
}

func batch[T any](l *loop, npairs int) {
	for done := 0; done < npairs; done += batchLen {
		for i := 0; i < batchLen; i++ {
			l.blocks[i] = block[T]()
		}
	}
}

func replace[T any](l *loop, npairs int) {
	for i := 0; i < npairs; i++ {
		l.blocks[l.randomBelow(liveLen)] = block[T]()
	}
}

type run func(*loop, int)

func patterns[T any]() map[string]run {
	return map[string]run{"churn": churn[T], "batch": batch[T], "replace": replace[T]}
}

func bytes(size int) map[string]run {
	switch size {
	case 16:
		return patterns[[16]byte]()
	case 32:
		return patterns[[32]byte]()
	case 64:
		return patterns[[64]byte]()
	case 128:
		return patterns[[128]byte]()
	case 256:
		return patterns[[256]byte]()
	case 512:
		return patterns[[512]byte]()
	}
	return nil
}

func pointers(size int) map[string]run {
	switch size {
	case 16:
		return patterns[[2]*byte]()
	case 32:
		return patterns[[4]*byte]()
	case 64:
		return patterns[[8]*byte]()
	case 128:
		return patterns[[16]*byte]()
	case 256:
		return patterns[[32]*byte]()
	case 512:
		return patterns[[64]*byte]()
	}
	return nil
}

// Nanoseconds of all threads, those of the collector included.
func processorTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

func main() {
	if len(os.Args) != 5 && !(len(os.Args) == 6 && os.Args[5] == "pointers") {
		fmt.Fprintln(os.Stderr, "usage: pairs churn|batch|replace SIZE PAIRS SLICES [pointers]")
		os.Exit(2)
	}
	size, npairs, slices := number(os.Args[2]), number(os.Args[3]), number(os.Args[4])
	found := bytes(size)
	if len(os.Args) == 6 {
		found = pointers(size)
	}
	pattern := found[os.Args[1]]
	if pattern == nil {
		fmt.Fprintln(os.Stderr, "no such pattern or size")
		os.Exit(2)
	}
	l := &loop{blocks: make([]unsafe.Pointer, liveLen), rng: 1}
	settle := npairs
	if settle < 4*liveLen {
		settle = 4 * liveLen
	}
	pattern(l, settle)
	separator := "{\"ns\": ["
	for i := 0; i < slices; i++ {
		start := processorTime()
		pattern(l, npairs)
		fmt.Printf("%s%.3f", separator, float64(processorTime()-start)/float64(npairs))
		separator = ", "
	}
	fmt.Println("]}")
}
