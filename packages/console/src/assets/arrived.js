// The provider sent the browser here; the next step is our own, so that it brings our cookies.
location.replace(document.querySelector('#onward').href)
