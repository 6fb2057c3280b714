#include <tenon/tenon.hpp>

#include "@NAME@.hpp"

int main(int argc, char** argv) { return tenon::run<@NAME@>(argc, argv); }
