// A goroutine for each connection, which keeps its one reader: a line in, a line out.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

var dates = flag.Bool("dates", false, "answer with date and time")

func handle(c net.Conn, number int) {
	defer c.Close()
	reader := bufio.NewReader(c)
	for {
		line, err := reader.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "STOP" {
			return
		}
		answer := fmt.Sprintf("Client number: %d\n", number)
		if *dates {
			answer = time.Now().Format(time.RFC3339) + "\n"
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

func main() {
	flag.Parse()
	l, err := net.Listen("tcp4", ":"+flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "lines: listening on", l.Addr())
	for number := 1; ; number++ {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go handle(c, number)
	}
}
