// SPDX-License-Identifier: Apache-2.0
#include "message/framing.h"

#include "message/json.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;
using message::Framing;

namespace {

Framing::State feed(Framing& framing, std::string_view bytes, std::size_t piece) {
    Framing::State state = Framing::State::incomplete;
    for (; !bytes.empty() && state == Framing::State::incomplete; bytes.remove_prefix(std::min(piece, bytes.size())))
        state = framing.feed(bytes.substr(0, piece));
    return state;
}

}  // namespace

/// The pieces in which a stream comes change nothing, and the framing finds what the parser takes.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of(data, size);
    Framing whole;
    const Framing::State state = feed(whole, text, std::max<std::size_t>(1, size));
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
        Framing pieces;
        require(feed(pieces, text, piece) == state, "pieces make no difference to the state");
        require(pieces.text() == whole.text(), "pieces make no difference to the text");
    }
    require(whole.text().size() <= size && text.find(whole.text()) != std::string_view::npos,
            "the text is of the stream");
    const Result<Object> stream = message::parse_json(text);
    if (state != Framing::State::complete) {
        require(!stream.has_value(), "what the parser takes is complete");
        return 0;
    }
    require(whole.text().starts_with('{'), "an object begins with a brace");
    const Result<Object> object = message::parse_json(whole.text());
    if (stream) require(object == stream, "white space around an object makes no difference");
    Framing again;
    require(again.feed(whole.text() + "} {") == Framing::State::complete && again.text() == whole.text(),
            "what follows the object makes no difference");
    return 0;
}
