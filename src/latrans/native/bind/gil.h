// Work without the GIL, also where the interpreter ends meanwhile.
#pragma once
#include <nanobind/nanobind.h>

#include <chrono>
#include <thread>

namespace latrans {

// Gives the GIL back when it goes.  Before Python 3.14 a thread that asks for the GIL while the
// interpreter is being finalized is ended by pthread_exit, which unwinds its stack; a destructor
// that lets this through, as nanobind's own does, ends the whole process by std::terminate.  Here
// such a thread sleeps until the process has ended, which is what Python 3.14 makes of it.
class GilReleased {
public:
    GilReleased() : state_(PyEval_SaveThread()) {}
    GilReleased(const GilReleased &) = delete;
    GilReleased &operator=(const GilReleased &) = delete;

    ~GilReleased() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // must not be left: what unwinds a thread cannot be stopped
            for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
        }
    }

private:
    PyThreadState *state_;
};

}  // namespace latrans
