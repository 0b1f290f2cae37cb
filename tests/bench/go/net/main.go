// net echo|line|udp PORT|PATH: a goroutine for each connection, which keeps its one reader:
// every byte goes back, or a line in, a line out; or a number from 1 to 1000 for each datagram.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"net"
	"os"
	"strconv"
	"strings"
)

func echo(c net.Conn) {
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

func lines(c net.Conn, number int) {
	defer c.Close()
	reader := bufio.NewReader(c)
	for {
		line, err := reader.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "STOP" {
			return
		}
		reply := fmt.Sprintf("Client number: %d\n", number)
		if _, err := c.Write([]byte(reply)); err != nil {
			return
		}
	}
}

func datagrams(c *net.UDPConn) {
	c.SetReadBuffer(4 << 20)
	buffer := make([]byte, 65536)
	for {
		if _, peer, err := c.ReadFromUDP(buffer); err == nil {
			c.WriteToUDP([]byte(strconv.Itoa(rand.Intn(1000)+1)), peer)
		}
	}
}

func try(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	work, network, address := os.Args[1], "tcp4", "127.0.0.1:"+os.Args[2]
	if work == "udp" {
		c, err := net.ListenPacket("udp4", address)
		try(err)
		fmt.Fprintln(os.Stderr, "net: listening on", c.LocalAddr())
		datagrams(c.(*net.UDPConn))
	}
	if strings.Contains(os.Args[2], "/") {
		network, address = "unix", os.Args[2]
	}
	l, err := net.Listen(network, address)
	try(err)
	fmt.Fprintln(os.Stderr, "net: listening on", l.Addr())
	for number := 1; ; number++ {
		c, err := l.Accept()
		try(err)
		if work == "echo" || work == "text" {
			go echo(c)
		} else {
			go lines(c, number)
		}
	}
}
