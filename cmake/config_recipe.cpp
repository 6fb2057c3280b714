// config_recipe DIR NAME: prints the header of a recipe NAME for the Hugging Face model in DIR (./tenon plan DIR, fit DIR).
#include <cstdio>
#include <tenon/deploy/import_recipe.hpp>

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw tenon::error("write config_recipe DIR NAME");
    std::fputs(tenon::deploy::planned_header_of(argv[1], argv[2]).c_str(), stdout);
    return 0;
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
