# calls.awk - what strace -xx says of two programs, as lines for chart.c. A line has the
# time, `<` or `>` for the side, and the call. Left out are what libc opens for itself,
# socket options, output to the terminal, and poll: the read after it shows what came.

# The text of bytes that are written \xNN; a newline is \n.
function text_of(hex,    digits, text, i, byte) {
    digits = "0123456789abcdef"
    for (i = 3; i < length(hex); i += 4) {
        byte = index(digits, substr(hex, i, 1)) * 16 + index(digits, substr(hex, i + 1, 1))
        text = text (byte == 27 ? "\\n" : sprintf("%c", byte - 17))
    }
    return text
}

# The address among the arguments, HOST:PORT or a path.
function address(    host, port) {
    host = port = args
    sub(/"[^"]*$/, "", host)
    sub(/.*"/, "", host)
    host = text_of(host)
    sub(/^::ffff:/, "", host)
    if (!sub(/.*port=htons\(/, "", port))
        return host
    sub(/\).*/, "", port)
    return (host ~ /:/ ? "[" host "]:" : host ":") port
}

function draw(what, call) {
    if (what ~ /text|HTTP/) { # line ends are seen, and end a row
        gsub(/\\x0d/, "\\x5c\\x72", data)
        gsub(/\\x0a/, "\\x5c\\x6e\\x0a", data)
    }
    print side, what, what ~ /text|HTTP|frames/ ? data : "-",
        kind[side fd] == "datagrams" ? "╌" : "─", call
}

{
    side = $2
    sub(/^[^ ]+ . /, "")
    sub(/ <[0-9.]+>$/, "")
    name = args = result = data = $0
    sub(/\(.*/, "", name)
    sub(/^[^(]*\(/, "", args)
    sub(/\) += .*/, "", args)
    sub(/.* = /, "", result)
    sub(/^[^"]*"?/, "", data)
    sub(/".*/, "", data)
    fd = (name == "poll" ? substr(args, 6) : name == "socket" ? result : args) + 0
}

name == "socket" && !/SOCK_CLOEXEC/ { # with it, libc looks up a name
    kind[side fd] = /SOCK_DGRAM/ ? "datagrams" : "socket"
    draw("nothing", "socket(" substr(args, 1, index(args, ",") - 1) ") = " fd)
}
name ~ /^clone/ { draw("nothing", "pthread_create") }
name ~ /^unlink/ { draw("nothing", "unlink(" address() ")") }
name == "read" && fd == 0 {
    draw("nothing", data ? "read(0): " text_of(data) : "read(0) = 0, the end")
}
/^--- SIGTERM .*SI_USER/ { draw("nothing", "(ctrl-C)") } # as the script does it
name == "exit_group" {
    for (fd = 0; fd < 64 && kind[side fd] != "connected"; fd++)
        ;
    draw(fd < 64 ? "end of stream" : "nothing", "exit(" args ")")
}

!kind[side fd] || result ~ /^\?/ { next }
name ~ /^(bind|connect)$/ {
    if (name == "connect" && kind[side fd] == "socket" && result == 0)
        kind[side fd] = "connected"
    draw(kind[side fd] == "connected" ? "connection" : "nothing", name "(" address() ")")
}
name == "accept" {
    kind[side (result + 0)] = "connected"
    draw("nothing", "accept(" fd ") = " result)
}
name == "poll" && result ~ /^0/ && sub(/.*\], [0-9]+, /, "", args) && args + 0 > 0 {
    draw("nothing", "poll(" fd ", " args " ms) = 0")
}
(name == "read" || name == "recvfrom") && result !~ /^-1/ {
    sub(/from/, /NULL, NULL\)/ ? "" : "from", name)
    draw("nothing", name "(" fd ") = " result (result == "0" ? ", the end" : ""))
}
name == "write" || name == "sendto" {
    sub(/to$/, /NULL, 0\)/ ? "" : "to", name)
    what = framed[side] ? "frames" : "text"
    if (what == "text" && data ~ /\\x0d\\x0a\\x0d\\x0a$/) { # an HTTP head
        what = "HTTP " (text_of(data) ~ /^HTTP/ ? "response" : "request")
        framed[side] = 1
    }
    draw(what, name == "sendto" ? "sendto(" address() ")" : name "(" fd ") = " result)
}
name ~ /^(listen|shutdown|close)$/ {
    draw(kind[side fd] == "connected" ? "end of stream" : "nothing", name "(" args ")")
    kind[side fd] = name == "close" ? "" : name
}
