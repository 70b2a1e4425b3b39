// go build -o /tmp/server tests/measure/peers/server.go; /tmp/server PORT: serves a page from memory, closes, and
// shuts down on SIGTERM as the manual says. (go run would not pass the signal on.)
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	page, err := os.ReadFile("common/html/hello.html")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", "text/html")
		w.Write(page)
	})
	server := &http.Server{Addr: "127.0.0.1:" + os.Args[1]}
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	server.Shutdown(context.Background())
}
