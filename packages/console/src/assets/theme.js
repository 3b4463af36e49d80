// The colours that were chosen in the console, before anything is painted. Not a module, so that it runs at once.
try {
  const theme = localStorage.getItem('sallyport-theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // A browser that keeps nothing: what the system says.
}
