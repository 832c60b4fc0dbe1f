package optionfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/optionfile"
)

func TestAFileThatCannotBeReadHasACure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		want       []string
	}{
		{"an absolute path of nothing", filepath.Join(dir, "nothing.p8"), []string{"nothing.p8", "write the path of a file that exists"}},
		{"a relative path of nothing", "nothing.p8", []string{"nothing.p8", "write the path of a file that exists", "starts in the folder " + here}},
		{"a folder", dir, []string{dir, "write the path of a file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := optionfile.Read(tt.path)
			for _, part := range tt.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("the error %v does not say %q", err, part)
				}
			}
		})
	}
	denied := optionfile.Hint("key.p8", &fs.PathError{Op: "open", Path: "key.p8", Err: fs.ErrPermission})
	if !errors.Is(denied, fs.ErrPermission) || !strings.Contains(denied.Error(), "let Caddy's user read the file") {
		t.Errorf("got %v", denied)
	}
	other := errors.New("the disk burns")
	if got := optionfile.Hint("key.p8", other); !errors.Is(got, other) || got.Error() != other.Error() {
		t.Errorf("got %v", got)
	}
	path := filepath.Join(dir, "key.p8")
	if err := os.WriteFile(path, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := optionfile.Read(path); string(data) != "key" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
}
