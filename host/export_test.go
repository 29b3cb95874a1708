package host

// WithHook lets a test be called before and after each step of setup, and let it fail.
func (o SetupOptions) WithHook(hook func(step, when string) error) SetupOptions {
	o.hook = hook
	return o
}
