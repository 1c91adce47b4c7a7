/* A program that has Python inside, and starts and ends it several times. */
#include <Python.h>

int main(int argc, char **argv) {
    int status = 0;
    if (argc != 2)
        return 2;
    for (int round = 0; round < 4 && status == 0; round++) {
        Py_InitializeEx(0);
        status = PyRun_SimpleString(argv[1]);
        if (Py_FinalizeEx() < 0)
            status = 3;
    }
    return status;
}
