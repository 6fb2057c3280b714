#include "tenon/app/model_tools.hpp"

int main(int argc, char** argv) { return tenon::app::model_tools(argc, argv); }
