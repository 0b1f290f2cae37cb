// A goroutine for each connection: every byte goes back. The argument is a port, or the path of
// a Unix socket.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
)

func handle(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, 1024)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		if _, err := c.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func main() {
	network, address := "tcp4", "127.0.0.1:"+os.Args[1]
	if strings.Contains(os.Args[1], "/") {
		network, address = "unix", os.Args[1]
	}
	l, err := net.Listen(network, address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "echo: listening on", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go handle(c)
	}
}
