"""multiprocessed.py METHOD: a pool, queues, shared memory and a manager."""

import multiprocessing
import sys
from multiprocessing import shared_memory

import work


def task(seed):
    return work.churn(seed, 60), work.compress(seed, 1)


def fill(name, queue):
    block = shared_memory.SharedMemory(name)
    block.buf[:4] = b"abcd"
    block.close()
    queue.put({n: str(n) for n in range(1000)})


def main():
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(3) as pool:
        results = pool.map(task, range(8), chunksize=1)
    print(results == [task(seed) for seed in range(8)])
    block = shared_memory.SharedMemory(create=True, size=5000)
    queue = context.Queue()
    child = context.Process(target=fill, args=(block.name, queue))
    child.start()
    print(len(queue.get()), child.join(), child.exitcode, bytes(block.buf[:4]))
    block.close()
    block.unlink()
    with context.Manager() as manager:
        shared = manager.dict({n: "x" * n for n in range(100)})
        print(sum(map(len, shared.values())))


if __name__ == "__main__":
    main()
