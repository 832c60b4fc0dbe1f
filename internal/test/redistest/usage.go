package redistest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// CPU returns the CPU time that all threads of the server have used.
func (s *Server) CPU(t testing.TB) time.Duration {
	t.Helper()
	info := s.info(t)
	return time.Duration((number(t, info, "used_cpu_sys") + number(t, info, "used_cpu_user")) * float64(time.Second))
}

// Memory returns how many bytes the server has in use.
func (s *Server) Memory(t testing.TB) int64 {
	t.Helper()
	return int64(number(t, s.info(t), "used_memory"))
}

// info returns what the server reports of itself.
func (s *Server) info(t testing.TB) string {
	t.Helper()
	options, err := redis.ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	info, err := client.Info(context.Background()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func number(t testing.TB, info, name string) float64 {
	t.Helper()
	for line := range strings.SplitSeq(info, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the server reports no %s", name)
	return 0
}
