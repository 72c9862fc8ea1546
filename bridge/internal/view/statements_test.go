package view

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// scans are the statements that may read a whole table, with the reason.
var scans = map[string]string{
	"selectPositions": "five rows, once a start",
}

// literals returns the text constants of a file by name, and all its other texts.
func literals(t *testing.T, path string) (named map[string]string, others []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	named = map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				named[spec.Names[0].Name] = text
			}
		}
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			others = append(others, lit.Value)
		}
		return true
	})
	return named, others
}

// statementFiles are the files with statements.
func statementFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("statements*.go")
	require.NoError(t, err)
	return slices.DeleteFunc(paths, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
}

// No statement reads a whole table or sorts, however large the view is.
func TestPlans(t *testing.T) {
	t.Parallel()
	db, err := openDatabase(filepath.Join(t.TempDir(), "view.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.close()) }()
	statements := map[string]string{}
	for _, path := range statementFiles(t) {
		named, _ := literals(t, path)
		maps.Copy(statements, named)
	}
	require.Greater(t, len(statements), 50)
	for name, sql := range statements {
		var plan []string
		require.NoError(t, db.writer.query("EXPLAIN QUERY PLAN "+sql, func(s *sqlite3.Stmt) error {
			plan = append(plan, s.ColumnText(3))
			return nil
		}), name)
		t.Logf("%s: %s", name, strings.Join(plan, "; "))
		if scans[name] != "" {
			continue
		}
		for _, step := range plan {
			require.NotRegexp(t, `^SCAN|TEMP B-TREE`, step, "%s: %s", name, sql)
		}
	}
	for name := range scans {
		require.Contains(t, statements, name)
	}
}

// Every statement is in the files that TestPlans reads.
func TestStatementsAreInOnePlace(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	sql := regexp.MustCompile("^[`\"](INSERT|UPDATE|DELETE|SELECT) ")
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") || slices.Contains(statementFiles(t), path) {
			continue
		}
		_, texts := literals(t, path)
		for _, text := range texts {
			require.False(t, sql.MatchString(text) && !strings.Contains(text, "sqlite_schema"), "%s: %s", path, text)
		}
	}
}
